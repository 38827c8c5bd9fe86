import type { Facts, Subject } from '../../../core/connector.ts'
import type { MachineAsset, MachineView } from '../machines/view.ts'

/** A machine as the rules look at it: what its systems say now. */
export type Seen = {
  readonly view: MachineView
  /** What systems have of it now, by what they are witness of; stale assets are history. */
  readonly of: (subject: Subject) => readonly MachineAsset[]
  readonly live: readonly MachineAsset[]
  readonly lifecycle: Facts['lifecycle'] | undefined
  /** What the virtualization says. */
  readonly power: Facts['power'] | undefined
  readonly isTemplate: boolean
  readonly isRunning: boolean
}

const none: readonly MachineAsset[] = []

export function look(view: MachineView): Seen {
  const bySubject = new Map<Subject, MachineAsset[]>()
  const live = view.assets.filter(({ staleAt }) => staleAt === null)
  for (const asset of live)
    for (const subject of asset.subjects) {
      const others = bySubject.get(subject)
      if (others) others.push(asset)
      else bySubject.set(subject, [asset])
    }
  const of = (subject: Subject) => bySubject.get(subject) ?? none
  const lifecycle = of('registry').find(({ facts }) => facts.lifecycle !== undefined)?.facts.lifecycle
  const power = powerOf(of('virtualization'))
  return {
    view,
    of,
    live,
    lifecycle,
    power,
    isTemplate: live.some(({ facts }) => facts.isTemplate === true),
    isRunning: runs(view, power ?? powerOf(live), lifecycle),
  }
}

/** On, when any says so: a machine that moved may be off where it was. */
function powerOf(assets: readonly MachineAsset[]): Facts['power'] | undefined {
  const said = assets.flatMap(({ facts }) => facts.power ?? [])
  return said.includes('on') ? 'on' : said[0]
}

/** A virtual machine runs when it is seen switched on; of a physical one the registry's word is enough when nothing sees its power. */
function runs({ form }: MachineView, power: Facts['power'] | undefined, lifecycle: Facts['lifecycle']): boolean {
  if (power !== undefined) return power === 'on'
  return form === 'physical' && lifecycle === 'active'
}
