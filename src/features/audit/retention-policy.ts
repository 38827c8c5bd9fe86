/** The kinds of event whose sealed details can be kept for different times. */
export const detailClasses = ['read', 'reveal', 'write', 'destroy', 'sign-in', 'system'] as const
export type DetailClass = (typeof detailClasses)[number]

/** How many days what is kept; what is absent is kept for ever. */
export type Keep = { readonly entries?: number } & { readonly [K in DetailClass]?: number }

/** What a `log.pruned` entry says: no entry below `minimum` is kept, and no sealed detail of a class below its index. */
export type Pruned = {
  readonly minimum: number
  readonly details: { readonly [K in DetailClass]?: number }
  /** The policy by which it was done, in days. */
  readonly keep: Keep
}

// Break-ins are found after weeks, and card-payment rules want three months at hand: whoever took over the configuration must not be able
// to make the log forget how.
const minEntryDays = 90
// An address in a log is needed for some days to tell an attack from a mistake; data protection authorities accept a week.
const minDetailDays = 7

/** A text that is no retention. The message is for the operator. */
export class RetentionError extends Error {}

/** `2y`, `26w` or `400d`, as days; a year has 365. */
export function parseEntryRetention(text: string): number {
  return daysOf(text, minEntryDays)
}

/** `read=90d,sign-in=180d,default=2y`: days for each class that is named, and for every other when there is a default. */
export function parseDetailRetention(text: string): Omit<Keep, 'entries'> {
  const given = new Map<string, number>()
  for (const part of text.split(',')) {
    const [name = '', time = '', ...more] = part.split('=').map((word) => word.trim())
    if (more.length > 0 || (name !== 'default' && !detailClasses.includes(name as DetailClass)))
      throw new RetentionError(
        `"${part.trim()}" is not a class and a time such as read=90d; the classes are ${detailClasses.join(', ')} and default`,
      )
    if (given.has(name)) throw new RetentionError(`${name} is named twice`)
    given.set(name, daysOf(time, minDetailDays))
  }
  const rest = given.get('default')
  return Object.fromEntries(
    detailClasses.flatMap((name) => {
      const days = given.get(name) ?? rest
      return days === undefined ? [] : [[name, days]]
    }),
  )
}

/** Why the two do not fit together; undefined when they do. Details lie beside their entries and cannot outlive them. */
export function retentionConflict({ entries, ...details }: Keep): string | undefined {
  const [name, days] = Object.entries(details).find(([, one]) => entries !== undefined && one > entries) ?? []
  return name === undefined ? undefined : `the details of ${name} would be kept ${days} days, longer than their entries`
}

function daysOf(text: string, least: number): number {
  const [, count = '', unit = ''] = /^([1-9][0-9]{0,4})(d|w|y)$/.exec(text) ?? []
  if (unit === '') throw new RetentionError(`"${text}" is not a time such as 90d, 26w or 2y`)
  const days = Number(count) * ({ d: 1, w: 7, y: 365 }[unit] as number)
  if (days < least) throw new RetentionError(`${text} is less than ${least} days, the least that can be set`)
  return days
}

/** The class of an entry, from what its leaf says openly. */
export function classOf({ code, access }: { readonly code: string; readonly access?: string }): DetailClass {
  if (code.startsWith('action.') && access !== undefined && detailClasses.includes(access as DetailClass))
    return access as DetailClass
  // Refused before it was known what for, and everything else that happens at a door.
  return /^(action|auth|login|setup|webhook)\./.test(code) ? 'sign-in' : 'system'
}

/** Whether it is what a leaf may say openly: indexes and days under our own names, nothing else. */
export function isPlainPruned(pruned: Pruned | undefined): boolean {
  if (!pruned) return false
  const { minimum, details, keep } = pruned
  const numbers = [minimum, ...Object.values(details), ...Object.values(keep)]
  const names: readonly string[] = [...detailClasses, 'entries']
  return (
    numbers.every((one) => Number.isSafeInteger(one) && one >= 0) &&
    [...Object.keys(details), ...Object.keys(keep)].every((name) => names.includes(name))
  )
}

export const dayMs = 86_400_000
