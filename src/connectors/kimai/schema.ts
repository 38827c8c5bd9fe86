import { z } from 'zod'

// Only the fields we use; rates, budgets and contact details stay in Kimai.

const text = z.string().nullish().catch(null)
const flag = z.boolean().nullish().catch(null)
const id = z.int().positive()
/** Kimai writes the offset without a colon: `2026-11-20T08:00:00+0100`. */
const time = z
  .string()
  .regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:Z|[+-]\d\d:?\d\d)$/)
  .transform((value) => value.replace(/([+-]\d\d)(\d\d)$/, '$1:$2'))
  .refine((value) => !Number.isNaN(Date.parse(value)))
/** An id, or with `full=true` and in older releases the object. */
const ref = z
  .union([id, z.object({ id }).transform((object) => object.id)])
  .nullish()
  .catch(null)

export const Timesheet = z.object({
  id,
  begin: time,
  end: time.nullish(),
  duration: z.number().nullish().catch(null),
  description: text,
  project: ref,
  activity: ref,
  user: ref,
  tags: z.array(z.string()).nullish().catch(null),
  exported: flag,
  billable: flag,
})
export type Timesheet = z.output<typeof Timesheet>
export const Timesheets = z.array(Timesheet)

export const Customer = z.object({
  id,
  name: z.string(),
  visible: flag,
  billable: flag,
  number: text,
  company: text,
  country: text,
  currency: text,
  timezone: text,
})
export type Customer = z.output<typeof Customer>

export const Project = z.object({
  id,
  name: z.string(),
  customer: ref,
  number: text,
  orderNumber: text,
  visible: flag,
  billable: flag,
})
export type Project = z.output<typeof Project>

export const Activity = z.object({
  id,
  name: z.string(),
  /** Null: for every project. */
  project: ref,
  number: text,
  visible: flag,
  billable: flag,
})
export type Activity = z.output<typeof Activity>

export const Version = z.object({ version: z.string().max(40) })

export const Me = z.object({
  id,
  username: text,
  roles: z.array(z.string()).nullish().catch(null),
})
