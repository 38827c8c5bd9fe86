import { z } from 'zod'
import { type Action, defineAction } from '../../core/action.ts'
import type { Vault } from './vault.ts'

type Incidents = Pick<Vault, 'openIncident' | 'incident' | 'incidents' | 'incidentSecrets' | 'closeIncident'>

/** The actions for the day on which the root key, or all of the vault, may be known to somebody. */
export function incidentActions(vault: Incidents): readonly Action[] {
  return [open(vault), list(vault), get(vault), listSecrets(vault), close(vault)]
}

const incident = z
  .string()
  .regex(/^inc_[0-9a-hjkmnp-tv-z]{24}$/)
  .describe('Id of the incident, inc_…')
const text = z
  .string()
  .trim()
  .min(1)
  .max(500)
  .regex(/^[^\p{C}\p{Zl}\p{Zp}]*$/u, 'must be one line of text')
const anyIncident = () => ({ type: 'incident', id: '*' })
const oneIncident = (input: { incident: string }) => ({ type: 'incident', id: input.incident })

const Incident = z.object({
  id: z.string(),
  reason: z.string(),
  state: z.enum(['open', 'closed']),
  openedAt: z.iso.datetime(),
  closedAt: z.iso.datetime().nullable(),
  excuse: z.string().nullable().describe('Why it was closed with work left; null when all was done.'),
  rootKeyChanged: z.boolean().describe('Whether the root key is another one than when it was opened.'),
  underOldKeys: z.int().describe('Secret versions that are still sealed under a key from before.'),
  secrets: z.object({
    total: z.int().describe('Secrets there were when it was opened; user names are not among them.'),
    changed: z.int().describe('Those that have a new value by now, or are destroyed.'),
    waiting: z.int().describe('Those that still have a value from before.'),
  }),
  done: z.boolean().describe('A new root key, nothing under old keys, and every secret changed.'),
})

const open = (vault: Incidents) =>
  defineAction({
    name: 'vault.incidents.open',
    title: 'Rotate everything',
    description:
      'For when the root key, or all of the vault, may be known to somebody: notes every stored secret, makes a new key-encryption key, and keeps the list of what is still to be changed until all is done.',
    access: 'write',
    http: { method: 'POST', path: '/vault/incidents' },
    input: z.strictObject({ reason: text.describe('What happened, for whoever reads this later. No secrets.') }),
    output: Incident,
    resource: anyIncident,
    run: ({ reason }) => vault.openIncident(reason),
  })

const list = (vault: Incidents) =>
  defineAction({
    name: 'vault.incidents.list',
    title: 'List incidents',
    description: 'Incidents in which everything is, or was, to be rotated; the newest first.',
    access: 'read',
    http: { method: 'GET', path: '/vault/incidents' },
    input: z.strictObject({ limit: z.int().min(1).max(100).default(20).describe('At most so many.') }),
    output: z.object({ items: z.array(Incident) }),
    resource: anyIncident,
    run: async ({ limit }) => ({ items: await vault.incidents(limit) }),
  })

const get = (vault: Incidents) =>
  defineAction({
    name: 'vault.incidents.get',
    title: 'Show how far an incident is',
    description: 'What has been rotated since an incident was opened, and what is left to do.',
    access: 'read',
    http: { method: 'GET', path: '/vault/incidents/{incident}' },
    input: z.strictObject({ incident }),
    output: Incident,
    resource: oneIncident,
    run: (input) => vault.incident(input.incident),
  })

const listSecrets = (vault: Incidents) =>
  defineAction({
    name: 'vault.incidents.secrets',
    title: 'List the secrets of an incident',
    description: 'Every secret that an incident covers, and whether its value has been changed since. Never a value.',
    access: 'read',
    http: { method: 'GET', path: '/vault/incidents/{incident}/secrets' },
    input: z.strictObject({
      incident,
      waiting: z.boolean().default(false).describe('Only those that still have a value from before.'),
      limit: z.int().min(1).max(200).default(50).describe('At most so many in one answer.'),
      cursor: z.string().max(64).optional().describe('The `next` of the answer before.'),
    }),
    output: z.object({
      items: z.array(
        z.object({
          secret: z.string(),
          name: z.string(),
          kind: z.string(),
          owner: z.string().nullable().describe('The connection that it belongs to.'),
          state: z.enum(['waiting', 'changed', 'destroyed']),
          versionThen: z.int().describe('The newest version when the incident was opened.'),
          version: z.int().describe('The current version.'),
          changedAt: z.iso.datetime().nullable(),
        }),
      ),
      next: z.string().nullable(),
    }),
    resource: oneIncident,
    run: (input) => vault.incidentSecrets(input),
  })

const close = (vault: Incidents) =>
  defineAction({
    name: 'vault.incidents.close',
    title: 'Close an incident',
    description: 'Ends an incident when everything is rotated; with an excuse also when something is left.',
    access: 'write',
    http: { method: 'POST', path: '/vault/incidents/{incident}/close' },
    input: z.strictObject({
      incident,
      excuse: text.optional().describe('Why what is left may stay as it is. Recorded.'),
    }),
    output: Incident,
    resource: oneIncident,
    run: (input) => vault.closeIncident(input.incident, input.excuse),
  })
