import { purposes } from '../lib/estate-words.ts'
import { makeDice } from '../lib/random.ts'
import type { Truth } from '../lib/truth.ts'

export type SimPage = {
  readonly id: number
  readonly space: string
  readonly title: string
  readonly parent: number | undefined
  readonly labels: readonly string[]
  readonly author: Person
  readonly editor: Person
  readonly createdAt: Date
  readonly modifiedAt: Date
  readonly version: number
  readonly storage: string
  readonly status: 'current' | 'trashed' | 'archived'
  /** Names of the groups that alone may read it; undefined: everyone in the space. */
  readonly readers?: readonly string[]
}
export type Person = { readonly accountId: string; readonly name: string }

export const spaces = [
  { id: 65537, key: 'OPS', name: 'Operations', first: 98_305 },
  { id: 65538, key: 'KB', name: 'Knowledge Base', first: 50_000_001 },
  { id: 65539, key: 'HR', name: 'People', first: 60_000_001 },
] as const
export type Space = (typeof spaces)[number]

export const people: readonly Person[] = ['Ana Novak', 'Ben Visser', 'Clara Weiss', 'Dario Kos'].map((name, i) => ({
  accountId: `5b10a2844c20165700ede21${i}`,
  name,
}))

const hours = 3_600_000
const days = 24 * hours
/** Before the sites, clusters and runbooks of the first space. */
const fixed = 7

type Text = Pick<SimPage, 'title' | 'parent' | 'labels' | 'storage' | 'readers'>

/** Pages about the machines of the truth, made from their number when asked for. */
export function makeRows(truth: Truth, seed: number) {
  const { estate, now } = truth
  const dice = makeDice(seed)
  const counts: Readonly<Record<string, number>> = {
    OPS: fixed + estate.counts.sites + estate.counts.clusters + estate.counts.vms,
    KB: 1 + purposes.length,
    HR: 2,
  }

  function row(id: number): SimPage | undefined {
    const space = spaces.findLast(({ first }) => id >= first && first >= 98_305 && isIn(id, first))
    if (!space) return undefined
    const n = id - space.first
    const text = space.key === 'OPS' ? operations(n) : space.key === 'KB' ? knowledge(n) : people_(n)
    const createdAt = new Date(now.getTime() - (300 + (dice.whole(1, id) % 400)) * days)
    return {
      id,
      space: space.key,
      author: dice.pick(people, 2, id),
      editor: dice.pick(people, 3, id),
      createdAt,
      modifiedAt: new Date(now.getTime() - (2 * 24 + (dice.whole(4, id) % (250 * 24))) * hours),
      version: 1 + (dice.whole(5, id) % 9),
      status: 'current',
      ...text,
    }
  }
  const isIn = (id: number, first: number) => {
    const space = spaces.find((one) => one.first === first)
    return space !== undefined && id < first + (counts[space.key] ?? 0)
  }

  function operations(n: number): Text {
    const at = (place: number) => spaces[0].first + place
    const simple: readonly Text[] = [
      { title: 'Operations', parent: undefined, labels: [], storage: '<p>How we run the machines.</p>' },
      { title: 'Runbooks', parent: at(0), labels: ['runbook'], storage: '<p>One page for each machine.</p>' },
      { title: 'Sites', parent: at(0), labels: [], storage: '<p>Where the racks are.</p>' },
      { title: 'Clusters', parent: at(0), labels: [], storage: '<p>Hypervisors.</p>' },
      {
        title: 'Break-glass access',
        parent: at(0),
        labels: ['security'],
        storage: '<p>Who may open the safe.</p>',
        readers: ['security'],
      },
      { title: 'Break-glass codes', parent: at(4), labels: [], storage: '<p>The code of the safe is 4711.</p>' },
      {
        title: 'On-call phone numbers',
        parent: at(0),
        labels: [],
        storage: '<p>+31 20 555 01</p>',
        readers: ['leads'],
      },
    ]
    const known = simple[n]
    if (known) return known
    const { sites, clusters } = estate.counts
    if (n < fixed + sites) return site(n - fixed, at(2))
    if (n < fixed + sites + clusters) return cluster(n - fixed - sites, at(3))
    return runbook(n - fixed - sites - clusters, at(1))
  }

  function site(index: number, parent: number): Text {
    const { name, code, facility, timeZone } = estate.site(index)
    const storage = `<p>${facility}, time zone ${timeZone}. Host names begin with <code>${code}</code>.</p>`
    return { title: `Site ${name}`, parent, labels: ['site', code], storage }
  }

  function cluster(index: number, parent: number): Text {
    const { name, site: at } = estate.cluster(index)
    const storage = `<p>Cluster ${name} in ${estate.site(at).name}.</p>`
    return { title: `Cluster ${name}`, parent, labels: ['cluster'], storage }
  }

  function runbook(index: number, parent: number): Text {
    const vm = estate.vm(index)
    const { hostName, purpose, platform } = vm
    const storage = [
      `<p><strong>${hostName}</strong> (${vm.fqdn}) is a ${purpose} on ${platform} in ${estate.cluster(vm.cluster).name}.</p>`,
      '<h2>Disk full</h2><ol><li>Look for old logs &amp; dumps.</li><li>Ask for a larger disk.</li></ol>',
      '<ac:structured-macro ac:name="code"><ac:parameter ac:name="title">shell</ac:parameter>',
      `<ac:plain-text-body><![CDATA[ssh ${hostName} 'df -h | sort']]></ac:plain-text-body></ac:structured-macro>`,
    ].join('')
    return {
      title: `Runbook ${hostName}`,
      parent,
      labels: ['runbook', purpose.toLowerCase().replaceAll(' ', '-')],
      storage,
    }
  }

  function knowledge(n: number): Text {
    const home = spaces[1].first
    const [word = '', purpose = ''] = purposes[n - 1] ?? []
    if (n === 0)
      return { title: 'Knowledge Base', parent: undefined, labels: [], storage: '<p>How things are done.</p>' }
    return {
      title: `How to restore a ${purpose} (${word})`,
      parent: home,
      labels: ['how-to'],
      storage: '<p>From the last backup.</p>',
    }
  }

  function people_(n: number): Text {
    const title = n === 0 ? 'People' : 'Salary bands'
    return { title, parent: n === 0 ? undefined : spaces[2].first, labels: [], storage: '<p>Confidential.</p>' }
  }

  return {
    row,
    ids: ({ key, first }: Space): readonly number[] => Array.from({ length: counts[key] ?? 0 }, (_, n) => first + n),
  }
}
