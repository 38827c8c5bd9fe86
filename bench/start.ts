import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { note, type Print, quantile, round } from './line.ts'
import { cpuMillis, residentMib, type Started, startAtlas, startProcess } from './process.ts'

/** From process start to `/readyz`, on an empty data directory and on one that exists, and the memory that an idle server holds. */
export async function benchStart(print: Print, { quick }: { quick: boolean }): Promise<void> {
  const folders: string[] = []
  const newFolder = () => {
    const folder = mkdtempSync(join(tmpdir(), 'atlas-bench-'))
    folders.push(folder)
    return folder
  }
  const runs = quick ? 1 : 5
  const idleSeconds = quick ? 1 : 5
  try {
    note('start: empty servers of node:http')
    const bare = await several(runs, () => timed(() => startProcess('echo-plain.ts'), '/'))
    note('start: Atlas, first starts')
    const first = await several(Math.min(runs, 3), () => timed(() => startAtlas(newFolder()), '/readyz'))
    note('start: Atlas, existing data directory')
    const folder = newFolder()
    await timed(() => startAtlas(folder), '/readyz')
    const again = await several(runs, () => timed(() => startAtlas(folder), '/readyz'))
    for (const [name, took] of [['existing data', again] as const, ['first start', first] as const]) {
      print({
        figure: `start: ${name}`,
        value: Math.round(took.millis),
        unit: 'ms',
        against: `an echo server on node:http: ${Math.round(bare.millis)} ms`,
        ratio: round(took.millis / bare.millis),
      })
      if (Number.isNaN(took.cpu)) continue
      print({
        figure: `start: ${name}, processor time`,
        value: took.cpu,
        unit: 'ms',
        against: `an echo server on node:http: ${bare.cpu} ms`,
        ratio: round(took.cpu / bare.cpu),
      })
    }
    const resident = await residentAfter(await startAtlas(folder), idleSeconds)
    const bareResident = await residentAfter(await startProcess('echo-plain.ts'), idleSeconds)
    if (Number.isNaN(resident)) return
    print({
      figure: `start: resident memory after ${idleSeconds} s idle`,
      value: round(resident, 1),
      unit: 'MiB',
      against: `an echo server on node:http: ${round(bareResident, 1)} MiB`,
      ratio: round(resident / bareResident),
    })
  } finally {
    for (const folder of folders) rmSync(folder, { recursive: true, force: true })
  }
}

type Took = { readonly millis: number; readonly cpu: number }

/** From the spawn to the answer 200 at `path`. An echo server is asked to echo. */
async function timed(start: () => Promise<Started>, path: string): Promise<Took> {
  const server = await start()
  try {
    // The server says that it listens; the first answer must still come.
    const { status } = await fetch(server.url + path, path === '/' ? echo : {})
    const millis = performance.now() - server.spawned
    if (status !== 200) throw new Error(`${path} answered ${status}`)
    return { millis, cpu: cpuMillis(server.pid) }
  } finally {
    await server.stop()
  }
}

const echo = { method: 'POST', body: JSON.stringify({ id: 1, params: { arguments: { text: 'ready' } } }) }

/** The medians of some runs. */
async function several(times: number, run: () => Promise<Took>): Promise<Took> {
  const all: Took[] = []
  for (let i = 0; i < times; i++) all.push(await run())
  const median = (values: number[]) => quantile(values, 0.5)
  return { millis: median(all.map(({ millis }) => millis)), cpu: median(all.map(({ cpu }) => cpu)) }
}

async function residentAfter(server: Started, seconds: number): Promise<number> {
  await sleep(seconds * 1000)
  const mib = residentMib(server.pid)
  await server.stop()
  return mib
}
