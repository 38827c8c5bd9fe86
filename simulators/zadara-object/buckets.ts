import { createHash } from 'node:crypto'
import { makeDice } from '../lib/random.ts'
import type { Truth } from '../lib/truth.ts'

export type Stored = { readonly key: string; readonly size: number; readonly modifiedAt: Date; readonly etag: string }

export type Bucket = {
  readonly name: string
  readonly createdAt: Date
  versioning: 'Enabled' | 'Suspended' | undefined
  policy: object | undefined
  /** Only keys that may write see it. */
  readonly isLocked: boolean
  readonly objects: Objects
}

type Base = { readonly count: number; readonly keyOf: (n: number) => string }

/**
 * Objects in the order of their keys. Those that a bucket begins with are computed from their number; only what was put or
 * removed later is kept. `keyOf` must rise with its number.
 */
export function makeObjects({ count, keyOf }: Base, now: Date, seed: number) {
  const dice = makeDice(seed)
  const put = new Map<string, Stored>()
  const removed = new Set<string>()
  const md5 = (text: string) => createHash('md5').update(text).digest('hex')
  const base = (n: number): Stored => {
    const key = keyOf(n)
    // Small: the answer to HEAD carries the length of its own (empty) body, padded up to the object's size.
    const size = 100 + (dice.whole(1, n) % 50_000)
    return { key, size, modifiedAt: new Date(now.getTime() - (n % 1000) * 3_600_000), etag: md5(`${seed} ${key}`) }
  }
  /** The first number whose key is above, by halves. */
  function firstAbove(marker: string): number {
    let [low, high] = [0, count]
    while (low < high) {
      const middle = (low + high) >>> 1
      if (keyOf(middle) > marker) high = middle
      else low = middle + 1
    }
    return low
  }
  function* after(marker: string): Generator<Stored> {
    const extra = [...put.values()].filter(({ key }) => key > marker).sort((a, b) => (a.key < b.key ? -1 : 1))
    for (let n = marker === '' ? 0 : firstAbove(marker); n < count; n++) {
      const one = base(n)
      while (extra[0] && extra[0].key < one.key) yield extra.shift() as Stored
      if (!removed.has(one.key) && !put.has(one.key)) yield one
      else if (extra[0]?.key === one.key) yield extra.shift() as Stored
    }
    yield* extra
  }
  return {
    after,
    get(key: string): Stored | undefined {
      for (const one of after(key.slice(0, -1))) {
        if (one.key === key) return one
        if (one.key > key) return undefined
      }
      return undefined
    },
    put(key: string, size: number, at: Date): void {
      put.set(key, { key, size, modifiedAt: at, etag: md5(`${key} ${size}`) })
      removed.delete(key)
    },
    remove(key: string): void {
      put.delete(key)
      removed.add(key)
    },
    sum(): { count: number; size: number } {
      const total = { count: 0, size: 0 }
      for (const { size } of after('')) {
        total.count++
        total.size += size
      }
      return total
    },
  }
}

export type Objects = ReturnType<typeof makeObjects>

/** Keys as people make them: everything that a path, a query or XML could stumble over. */
export const oddKeys = [
  '../up.txt',
  'a b+c.txt',
  'a//b.txt',
  'a/./b.txt',
  'control\u0001.txt',
  'percent%2e%2e.txt',
  'percent/%2e%2e/up.txt',
  "quotes'(1)*!.txt",
  'tilde~and%.txt',
  'x&y=<z>.txt',
  'žluť/kůň.txt',
]

const backupsPerVm = 3
const days = 86_400_000

/** The buckets of the company: backups of its virtual machines, logs, a page for everyone, and a few more. */
export function makeBuckets(truth: Truth): Bucket[] {
  const { now } = truth
  const vms: number[] = []
  for (const { index } of truth.vms('backup')) vms.push(index)
  const padded = (n: number, length = 6) => String(n).padStart(length, '0')
  const backup = (n: number) => {
    const place = Math.floor(n / backupsPerVm)
    return `${padded(place)}-${truth.vm(vms[place] ?? 0).hostName}/full-${(n % backupsPerVm) + 1}.vbk`
  }
  const sorted = oddKeys.toSorted()
  const make = (name: string, base: Base, more: Partial<Bucket> = {}): Bucket => ({
    name,
    createdAt: new Date(now.getTime() - (300 + name.length) * days),
    versioning: undefined,
    policy: undefined,
    isLocked: false,
    objects: makeObjects(base, now, name.length),
    ...more,
  })
  const few = (count: number, of: string): Base => ({ count, keyOf: (n) => `${of}-${padded(n, 3)}` })
  return [
    make('empty', { count: 0, keyOf: () => '' }, { versioning: 'Suspended' }),
    make('legal-hold', few(12, 'case'), { isLocked: true }),
    make('log-archive', { count: 2500, keyOf: (n) => `logs/${padded(n)}.gz` }),
    make('odd-names', { count: sorted.length, keyOf: (n) => sorted[n] ?? '' }),
    make('public-web', few(25, 'page'), { policy: everyoneReads('public-web') }),
    make('terraform-state', few(5, 'state'), { versioning: 'Enabled', policy: oneReads('terraform-state') }),
    make('vm-backups', { count: vms.length * backupsPerVm, keyOf: backup }, { versioning: 'Enabled' }),
  ]
}

const statement = (bucket: string, principal: unknown) => ({
  Version: '2012-10-17',
  Statement: [
    { Effect: 'Allow', Principal: principal, Action: ['s3:GetObject'], Resource: [`arn:aws:s3:::${bucket}/*`] },
  ],
})
const everyoneReads = (bucket: string) => statement(bucket, '*')
const oneReads = (bucket: string) => statement(bucket, { AWS: ['arn:aws:iam:::user/deploy'] })
