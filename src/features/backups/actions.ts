import { z } from 'zod'
import { type Action, defineAction } from '../../core/action.ts'
import type { Backups } from './backups.ts'

type Parts = { readonly backups: Backups }

/** Everything about backups that goes through the gate. Putting one back needs a stopped server: `atlas restore`. */
export function backupActions(parts: Parts): readonly Action[] {
  return [createAction(parts), listAction(parts), getAction(parts), downloadAction(parts), removeAction(parts)]
}

const BackupId = z
  .string()
  .regex(/^bak_[0-9a-z]{24}$/)
  .describe('Id of a backup.')

const BackupField = z.object({
  id: z.string(),
  file: z.string().describe('Name of its file in the folder for backups.'),
  state: z.enum(['running', 'ready', 'failed']),
  by: z.object({ id: z.string(), name: z.string() }),
  startedAt: z.string(),
  endedAt: z.string().nullable(),
  rows: z.int().describe('Rows written so far.'),
  totalRows: z.int().describe('Rows in all; 0 until that is known.'),
  bytes: z.int().nullable(),
  sha256: z.string().nullable().describe('Of the whole file, in hex.'),
  logSize: z.int().nullable().describe('Entries of the audit log in it.'),
  problem: z.string().nullable(),
  isHere: z.boolean().describe('Whether its file lies in the folder of the server that answers.'),
})

function createAction({ backups }: Parts) {
  return defineAction({
    name: 'system.backups.create',
    title: 'Make a backup',
    description:
      'Starts a backup of everything into the folder for backups, sealed under the root key, and answers at once; ask system.backups.get until it is ready.',
    access: 'write',
    http: { method: 'POST', path: '/backups' },
    input: z.strictObject({}),
    output: BackupField,
    events: ['backup.started'],
    resource: () => ({ type: 'backup', id: '*' }),
    run: (_input, { principal, door, requestId }) => backups.create({ principal, door, requestId }),
  })
}

function listAction({ backups }: Parts) {
  return defineAction({
    name: 'system.backups.list',
    title: 'List backups',
    description: 'The backups that were made, newest first, and when the next one is planned.',
    access: 'read',
    http: { method: 'GET', path: '/backups' },
    input: z.strictObject({}),
    output: z.object({
      items: z.array(BackupField),
      schedule: z.string().nullable().describe('Five cron fields in UTC; null when none is planned.'),
      next: z.string().nullable(),
      keep: z.int().describe('How many files are kept.'),
      isLate: z.boolean().describe('Whether two planned backups passed without a complete one.'),
      lastMadeAt: z.string().nullable().describe('When the newest complete backup was made.'),
    }),
    resource: () => ({ type: 'backup', id: '*' }),
    run: () => backups.list(),
  })
}

function getAction({ backups }: Parts) {
  return defineAction({
    name: 'system.backups.get',
    title: 'Show one backup',
    description: 'One backup: how far it is, or why it failed.',
    access: 'read',
    http: { method: 'GET', path: '/backups/{backup}' },
    input: z.strictObject({ backup: BackupId }),
    output: BackupField,
    resource: ({ backup }) => ({ type: 'backup', id: backup }),
    run: ({ backup }) => backups.get(backup),
  })
}

function downloadAction({ backups }: Parts) {
  return defineAction({
    name: 'system.backups.download',
    title: 'Download a backup',
    description:
      'What the file of a backup is called, its size and SHA-256, and where its bytes are. It opens with the root key only.',
    access: 'read',
    http: { method: 'GET', path: '/backups/{backup}/download' },
    input: z.strictObject({ backup: BackupId }),
    output: z.object({
      name: z.string(),
      bytes: z.int(),
      sha256: z.string().describe('In hex.'),
      path: z.string().describe('GET this path of this server with the same token for the bytes.'),
    }),
    resource: ({ backup }) => ({ type: 'backup', id: backup }),
    run: async ({ backup }) => ({ ...(await backups.download(backup)), path: `/api/v1/backups/${backup}/file` }),
  })
}

function removeAction({ backups }: Parts) {
  return defineAction({
    name: 'system.backups.remove',
    title: 'Remove a backup',
    description: 'Removes a backup and its file from the folder of this server.',
    access: 'destroy',
    http: { method: 'DELETE', path: '/backups/{backup}' },
    input: z.strictObject({ backup: BackupId }),
    output: z.object({ removed: z.literal(true) }),
    resource: ({ backup }) => ({ type: 'backup', id: backup }),
    async run({ backup }) {
      await backups.remove(backup)
      return { removed: true as const }
    },
  })
}
