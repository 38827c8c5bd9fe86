import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Observation } from '../../../core/connector.ts'
import { inherit } from './inherit.ts'
import { keysOf, marksOf } from './marks.ts'
import { type Candidate, partition, type Verdict } from './partition.ts'

type Short = Partial<Observation> & Observation['machine'] & { kind?: string; stale?: true; was?: number }

/** `nb1`, `vc2`, `zb1` …: the letters are the connection, the number tells its assets apart. */
type World = Readonly<Record<string, Short>>

function candidatesOf(world: World): Candidate[] {
  const sources = [...new Set(Object.keys(world).map((name) => name.replace(/\d+$/, '')))]
  return Object.entries(world).map(([name, given], at) => {
    const { kind = 'machine', stale, was, serial, addresses, site, ...machine } = given
    const marks = marksOf({
      kind,
      externalId: name,
      name,
      attributes: {},
      machine,
      ...(serial !== undefined && { serial }),
      ...(addresses && { addresses }),
      ...(site !== undefined && { site }),
    })
    assert.ok(marks)
    const source = sources.indexOf(name.replace(/\d+$/, '')) + 1
    return { seq: at + 1, source, kind, live: stale === undefined, machine: was ?? null, marks, keys: keysOf(marks) }
  })
}

function decide(world: World, said: readonly (readonly [string, string, Verdict['verb']])[] = []) {
  const names = Object.keys(world)
  const seqOf = (name: string) => names.indexOf(name) + 1
  const verdicts = said.map(([a, b, verb]) => ({ a: seqOf(a), b: seqOf(b), verb }))
  const candidates = candidatesOf(world)
  const decided = new Set(candidates.map(({ seq }) => seq))
  const result = partition({ candidates, decided, ignored: new Set(), verdicts })
  const nameOf = (seq: number) => names[seq - 1] ?? '?'
  return {
    ...result,
    machines: result.clusters.map(({ members }) => members.map(({ seq }) => nameOf(seq)).sort()).sort(),
    reasons: result.refused.filter(({ because }) => because !== 'weak').map(({ because }) => because),
    inherited: inherit(result.clusters).machines,
  }
}

const uuid = '4c4c4544-0042-3510-8052-b4c04f4d5931'
const swapped = '44454c4c-4200-1035-8052-b4c04f4d5931'
const [u1, u2] = ['4211a7d6-0000-4000-a000-000000000001', '4211a7d6-0000-4000-a000-000000000002']
const [m1, m2] = ['00:50:56:00:00:01', '00:50:56:00:00:02']

type Case = {
  readonly title: string
  readonly world: World
  readonly machines: readonly (readonly string[])[]
  readonly reasons?: readonly string[]
  readonly said?: readonly (readonly [string, string, Verdict['verb']])[]
}

const cases: readonly Case[] = [
  {
    title: 'the same UUID',
    world: { vc1: { uuids: [u1] }, pu1: { uuids: [u1.toUpperCase()] } },
    machines: [['pu1', 'vc1']],
  },
  {
    title: 'a byte-swapped UUID',
    world: { vc1: { uuids: [uuid] }, pu1: { uuids: [swapped] } },
    machines: [['pu1', 'vc1']],
  },
  {
    title: 'a UUID written as a serial by the hypervisor',
    world: { vc1: { uuids: [u1] }, pu1: { serial: 'VMware-42 11 a7 d6 00 00 40 00-a0 00 00 00 00 00 00 01' } },
    machines: [['pu1', 'vc1']],
  },
  {
    title: 'the same serial in other letters',
    world: { nb1: { serial: 'abc1234 ' }, vc1: { serial: 'ABC1234' } },
    machines: [['nb1', 'vc1']],
  },
  {
    title: 'a MAC address written in another way',
    world: { vc1: { macs: [m1] }, fo1: { macs: ['0050.5600.0001'] } },
    machines: [['fo1', 'vc1']],
  },
  {
    title: 'a full name with a dot at the end',
    world: { zb1: { hostNames: ['Web01.Example.net'] }, pu1: { fqdns: ['web01.example.net.'] } },
    machines: [['pu1', 'zb1']],
  },
  {
    title: 'a short name against a full one, with the same address',
    world: {
      nb1: { hostNames: ['WEB01'], addresses: ['10.0.0.5/24'] },
      pu1: { fqdns: ['web01.example.net'], addresses: ['10.0.0.5'] },
    },
    machines: [['nb1', 'pu1']],
  },
  {
    title: 'a short name alone is weak',
    world: { nb1: { hostNames: ['web01'] }, zb1: { hostNames: ['web01'] } },
    machines: [['nb1'], ['zb1']],
  },
  {
    title: 'an address alone is weak',
    world: { nb1: { addresses: ['10.0.0.5'] }, zb1: { addresses: ['10.0.0.5'] } },
    machines: [['nb1'], ['zb1']],
  },
  {
    title: 'a re-used address: other names stay apart, even at one site',
    world: {
      nb1: { hostNames: ['old01'], addresses: ['10.0.0.5'], site: 'FRA1' },
      vc1: { hostNames: ['new01'], addresses: ['10.0.0.5'], site: 'FRA1' },
    },
    machines: [['nb1'], ['vc1']],
  },
  {
    title: 'an address at one site, and one side has no name',
    world: {
      nb1: { hostNames: ['web01'], addresses: ['10.0.0.5'], site: 'FRA1' },
      zb1: { hostNames: ['10.0.0.5'], site: 'DC FRA1' },
    },
    machines: [['nb1', 'zb1']],
  },
  {
    title: 'a short name at one site',
    world: { nb1: { hostNames: ['web01'], site: 'FRA1' }, vc1: { hostNames: ['web01'], site: 'fra1' } },
    machines: [['nb1', 'vc1']],
  },
  {
    title: 'the same short name at two sites',
    world: { nb1: { hostNames: ['web01'], site: 'FRA1' }, vc1: { hostNames: ['web01'], site: 'AMS2' } },
    machines: [['nb1'], ['vc1']],
  },
  {
    title: 'a short name that carries the site',
    world: { nb1: { hostNames: ['fra1-web01'], site: 'FRA1' }, zb1: { hostNames: ['FRA1-WEB01'] } },
    machines: [['nb1', 'zb1']],
  },
  {
    title: 'a short name with the same first label in other domains',
    world: {
      pu1: { fqdns: ['db01.fra.example.net'], addresses: ['10.0.0.5'] },
      zb1: { fqdns: ['db01.ams.example.net'], addresses: ['10.0.0.5'] },
    },
    machines: [['pu1'], ['zb1']],
  },
  {
    title: 'clones with one UUID: it is no evidence any more, names and addresses are',
    world: {
      vc1: { uuids: [u1], hostNames: ['app1'], addresses: ['10.0.0.1'] },
      vc2: { uuids: [u1], hostNames: ['app2'], addresses: ['10.0.0.2'] },
      pu1: { uuids: [u1], hostNames: ['app2'], addresses: ['10.0.0.2'] },
    },
    machines: [['pu1', 'vc2'], ['vc1']],
  },
  {
    title: 'clones told apart by their MAC addresses',
    world: { vc1: { uuids: [u1], macs: [m1] }, vc2: { uuids: [u1], macs: [m2] }, pu1: { uuids: [u1], macs: [m2] } },
    machines: [['pu1', 'vc2'], ['vc1']],
  },
  {
    title: 'values that are no identity',
    world: {
      nb1: {
        serial: 'To be filled by O.E.M.',
        uuids: ['00000000-0000-0000-0000-000000000000', '03000200-0400-0500-0006-000700080009'],
        macs: ['00:00:00:00:00:00', 'ff:ff:ff:ff:ff:ff', '00:00:5e:00:01:0a', '02:42:ac:11:00:02'],
        hostNames: ['localhost'],
        fqdns: ['localhost.localdomain'],
        addresses: ['127.0.0.1', '169.254.1.1', 'fe80::1', '172.17.0.1'],
        site: 'FRA1',
      },
      zb1: {
        serial: 'To Be Filled By O.E.M',
        uuids: ['00000000-0000-0000-0000-000000000000', '03000200-0400-0500-0006-000700080009'],
        macs: ['00:00:00:00:00:00', 'ff:ff:ff:ff:ff:ff', '00:00:5e:00:01:0a', '02:42:ac:11:00:02'],
        hostNames: ['localhost'],
        fqdns: ['localhost.localdomain'],
        addresses: ['127.0.0.1', '169.254.1.1', 'fe80::1', '172.17.0.1'],
        site: 'FRA1',
      },
    },
    machines: [['nb1'], ['zb1']],
  },
  {
    title: 'a default serial that a whole series has',
    world: {
      nb1: { serial: 'DEFAULT-77', hostNames: ['a'] },
      nb2: { serial: 'DEFAULT-77', hostNames: ['b'] },
      pu1: { serial: 'DEFAULT-77', hostNames: ['c'] },
    },
    machines: [['nb1'], ['nb2'], ['pu1']],
  },
  {
    title: 'replaced hardware: the same name and address, another serial',
    world: {
      nb1: { serial: 'OLD1234', hostNames: ['db01'], addresses: ['10.0.0.9'] },
      pu1: { serial: 'NEW1234', hostNames: ['db01'], addresses: ['10.0.0.9'] },
    },
    machines: [['nb1'], ['pu1']],
    reasons: ['serial'],
  },
  {
    title: 'replaced hardware that both old and new are registered of: the third witness goes with the new one',
    world: {
      nb1: { serial: 'OLD1234', hostNames: ['db01-old'] },
      nb2: { serial: 'NEW1234', hostNames: ['db01'], addresses: ['10.0.0.9'] },
      pu1: { serial: 'NEW1234', hostNames: ['db01'] },
      zb1: { hostNames: ['db01'], addresses: ['10.0.0.9'] },
    },
    machines: [['nb1'], ['nb2', 'pu1', 'zb1']],
  },
  {
    title: 'a renamed host is held by its UUID',
    world: { vc1: { uuids: [u1], hostNames: ['old-name'] }, pu1: { uuids: [u1], fqdns: ['new-name.example.net'] } },
    machines: [['pu1', 'vc1']],
  },
  {
    title: 'a machine restored under another id, while the old one is stale',
    world: {
      vc1: { uuids: [u1], hostNames: ['app1'], addresses: ['10.0.0.1'], stale: true, was: 7 },
      nb1: { hostNames: ['app1'], addresses: ['10.0.0.1'], was: 7 },
      vc2: { uuids: [u1], hostNames: ['app1'], addresses: ['10.0.0.1'] },
    },
    machines: [['nb1', 'vc1', 'vc2']],
  },
  {
    title: 'a machine made anew under the same name, with a new UUID: the stale one stays its history',
    world: {
      vc1: { uuids: [u1], hostNames: ['app1'], addresses: ['10.0.0.1'], stale: true, was: 7 },
      nb1: { hostNames: ['app1'], addresses: ['10.0.0.1'], was: 7 },
      vc2: { uuids: [u2], hostNames: ['app1'], addresses: ['10.0.0.1'] },
    },
    machines: [['nb1', 'vc1', 'vc2']],
  },
  {
    title: 'dual stack: each system has another address family, one has both',
    world: {
      nb1: { hostNames: ['app1'], addresses: ['2001:DB8:0:0::5/64'] },
      zb1: { hostNames: ['app1'], addresses: ['10.0.0.1'] },
      vc1: { hostNames: ['app1'], addresses: ['10.0.0.1', '2001:db8::5'] },
    },
    machines: [['nb1', 'vc1', 'zb1']],
  },
  {
    title: 'a cluster address that two nodes carry',
    world: {
      nb1: { hostNames: ['db-n1'], addresses: ['10.0.0.11'] },
      nb2: { hostNames: ['db-n2'], addresses: ['10.0.0.12'] },
      pu1: { fqdns: ['db-n1.example.net'], addresses: ['10.0.0.11', '10.0.0.100'] },
      pu2: { fqdns: ['db-n2.example.net'], addresses: ['10.0.0.12', '10.0.0.100'] },
      zb1: { hostNames: ['db-cluster'], addresses: ['10.0.0.100'] },
    },
    machines: [['nb1', 'pu1'], ['nb2', 'pu2'], ['zb1']],
  },
  {
    title: 'two that fit equally well are left alone',
    world: {
      nb1: { hostNames: ['web01'], addresses: ['10.0.0.5'], site: 'A1' },
      nb2: { hostNames: ['web01'], addresses: ['10.0.0.5'], site: 'B1' },
      zb1: { hostNames: ['web01'], addresses: ['10.0.0.5'] },
    },
    machines: [['nb1'], ['nb2'], ['zb1']],
    reasons: ['ambiguous', 'ambiguous', 'taken'],
  },
  {
    title: 'of two that fit, the one with more in common',
    world: {
      nb1: { hostNames: ['web01'], addresses: ['10.0.0.5'], site: 'FRA1' },
      nb2: { hostNames: ['web01'], addresses: ['10.0.0.5'], site: 'AMS1' },
      zb1: { hostNames: ['web01'], addresses: ['10.0.0.5'], site: 'FRA1' },
    },
    machines: [['nb1', 'zb1'], ['nb2']],
    reasons: ['taken', 'taken'],
  },
  {
    title: 'a physical machine and a virtual one with the same name and address',
    world: {
      nb1: { form: 'physical', hostNames: ['web01'], addresses: ['10.0.0.5'] },
      vc1: { form: 'virtual', hostNames: ['web01'], addresses: ['10.0.0.5'] },
    },
    machines: [['nb1'], ['vc1']],
    reasons: ['form'],
  },
  {
    title: 'a form that one system has wrong does not outweigh the UUID',
    world: { nb1: { form: 'physical', uuids: [u1] }, vc1: { form: 'virtual', uuids: [u1] } },
    machines: [['nb1', 'vc1']],
  },
  {
    title: 'one connection may see a machine in two roles',
    world: {
      cv1: { kind: 'client', uuids: [u1] },
      cv2: { kind: 'virtual-machine', uuids: [u1] },
    },
    machines: [['cv1', 'cv2']],
  },
  {
    title: 'a person joins what has nothing in common',
    world: { nb1: { hostNames: ['a1'], serial: 'AAAA1' }, zb1: { hostNames: ['b1'], serial: 'BBBB1' } },
    said: [['nb1', 'zb1', 'join']],
    machines: [['nb1', 'zb1']],
  },
  {
    title: 'a person splits what has the same UUID: who fits both is left alone',
    world: { vc1: { uuids: [u1] }, pu1: { uuids: [u1] }, zb1: { macs: [m1] }, fo1: { macs: [m1], uuids: [u1] } },
    said: [['vc1', 'pu1', 'split']],
    machines: [['fo1', 'zb1'], ['pu1'], ['vc1']],
  },
  {
    title: 'of two things that were said about a pair, the last counts',
    world: { vc1: { uuids: [u1] }, pu1: { uuids: [u1] } },
    said: [
      ['vc1', 'pu1', 'split'],
      ['vc1', 'pu1', 'join'],
    ],
    machines: [['pu1', 'vc1']],
  },
]

for (const { title, world, machines, reasons, said } of cases)
  test(`matching: ${title}`, () => {
    const decided = decide(world, said)
    assert.deepEqual(decided.machines, machines)
    if (reasons) assert.deepEqual(decided.reasons.sort(), reasons)
  })

test('a system whose assets all have something in common costs little, and hides nothing of the others', () => {
  // Any two points of a plane are on one line: each asset shares an address with each other one.
  const size = 61
  const world: Record<string, Short> = {
    nb1: { hostNames: ['web01'], addresses: ['10.0.0.1'] },
    zb1: { hostNames: ['web01'], addresses: ['10.0.0.1'] },
  }
  for (let x = 0; x < size; x++)
    for (let y = 0; y < size; y++) {
      const lines = Array.from({ length: size }, (_, slope) => `10.1.${slope}.${(y + slope * x) % size}`)
      world[`evil${x * size + y + 1}`] = { site: 'FRA1', addresses: [...lines, '10.0.0.1'] }
    }

  const { machines, refused } = decide(world)

  assert.ok(refused.length < 30_000, String(refused.length))
  assert.ok(machines.some((members) => members.join() === 'nb1,zb1'))
})
