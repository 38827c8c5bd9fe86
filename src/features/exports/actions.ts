import { z } from 'zod'
import { type Action, defineAction } from '../../core/action.ts'
import { jsonSchemaOf } from '../../lib/json-schema.ts'
import { planActions } from './actions-plans.ts'
import type { Exports } from './exports.ts'
import { DownloadField, ExportField, ExportId, Name, orderFields, Principals } from './fields.ts'

type Parts = { readonly exports: Exports }

/** Everything about exports that goes through the gate. */
export function exportActions(parts: Parts): readonly Action[] {
  return [
    datasetsAction(parts),
    createAction(parts),
    listAction(parts),
    getAction(parts),
    shareAction(parts),
    removeAction(parts),
    downloadAction(parts),
    ...planActions(parts.exports.plans),
  ]
}

function datasetsAction({ exports: { datasets } }: Parts) {
  return defineAction({
    name: 'exports.datasets.list',
    title: 'List what can be exported',
    description: 'The datasets that can be exported as files, each with the filters it takes.',
    access: 'read',
    http: { method: 'GET', path: '/export-datasets' },
    input: z.strictObject({}),
    output: z.object({
      items: z.array(
        z.object({
          name: z.string(),
          title: z.string(),
          describe: z.string(),
          params: z.record(z.string(), z.unknown()).describe('JSON Schema of its filters.'),
        }),
      ),
    }),
    resource: () => ({ type: 'export', id: '*' }),
    run: async () => ({
      items: Object.entries(datasets).map(([name, { title, describe, params }]) => ({
        name,
        title,
        describe,
        params: jsonSchemaOf(params, 'input'),
      })),
    }),
  })
}

function createAction({ exports: room }: Parts) {
  return defineAction({
    name: 'exports.exports.create',
    title: 'Export as a file',
    description:
      'Starts making a file (workbook, CSV, JSON Lines) of a dataset and answers at once; ask exports.exports.get until it is ready. Remove it to stop it.',
    access: 'write',
    http: { method: 'POST', path: '/exports' },
    input: z.strictObject({ name: Name.optional(), ...orderFields }),
    output: ExportField,
    resource: ({ dataset }) => ({ type: 'dataset', id: dataset }),
    run: (order, { principal }) => room.create(principal, order),
  })
}

function listAction({ exports: room }: Parts) {
  return defineAction({
    name: 'exports.exports.list',
    title: 'List exports',
    description: 'Your exports and those shared with you, newest first; administrators see all.',
    access: 'read',
    http: { method: 'GET', path: '/exports' },
    input: z.strictObject({
      limit: z.coerce.number().int().min(1).max(200).default(50).describe('How many at most (1–200).'),
      cursor: ExportId.optional().describe('Where to continue: `next` of the answer before.'),
    }),
    output: z.object({ items: z.array(ExportField), next: z.string().nullable() }),
    resource: () => ({ type: 'export', id: '*' }),
    run: (page, { principal }) => room.list(principal, page),
  })
}

function getAction({ exports: room }: Parts) {
  return defineAction({
    name: 'exports.exports.get',
    title: 'Show one export',
    description: 'One export: how far it is, why it failed, how long it is kept, and for its owner who downloaded it.',
    access: 'read',
    http: { method: 'GET', path: '/exports/{export}' },
    input: z.strictObject({ export: ExportId }),
    output: ExportField.extend({
      downloads: z.array(DownloadField).describe('The newest 100, newest first; only its owner sees them.'),
    }),
    resource: (input) => ({ type: 'export', id: input.export }),
    run: (input, { principal }) => room.get(principal, input.export),
  })
}

function shareAction({ exports: room }: Parts) {
  return defineAction({
    name: 'exports.exports.share',
    title: 'Set who may read an export',
    description:
      'Sets the whole list of who may read an export beside its owner; an empty list ends all sharing. Only its owner or an administrator may.',
    access: 'write',
    http: { method: 'PUT', path: '/exports/{export}/access' },
    input: z.strictObject({ export: ExportId, principals: Principals }),
    output: ExportField,
    resource: (input) => ({ type: 'export', id: input.export }),
    run: (input, { principal }) => room.share(principal, input.export, input.principals),
  })
}

function removeAction({ exports: room }: Parts) {
  return defineAction({
    name: 'exports.exports.remove',
    title: 'Remove an export',
    description:
      'Removes an export and its file; one that still runs is stopped. Only its owner or an administrator may.',
    access: 'destroy',
    http: { method: 'DELETE', path: '/exports/{export}' },
    input: z.strictObject({ export: ExportId }),
    output: z.object({ removed: z.literal(true) }),
    resource: (input) => ({ type: 'export', id: input.export }),
    async run(input, { principal }) {
      await room.remove(principal, input.export)
      return { removed: true as const }
    },
  })
}

function downloadAction({ exports: room }: Parts) {
  return defineAction({
    name: 'exports.exports.download',
    title: 'Download an export',
    description:
      'What the file of an export is called, its type, size and SHA-256, and where its bytes are. Noted as a download.',
    access: 'read',
    http: { method: 'GET', path: '/exports/{export}/download' },
    input: z.strictObject({ export: ExportId }),
    output: z.object({
      name: z.string(),
      mediaType: z.string(),
      bytes: z.int(),
      sha256: z.string().describe('In hex.'),
      path: z.string().describe('GET this path of this server with the same token for the bytes.'),
    }),
    resource: (input) => ({ type: 'export', id: input.export }),
    async run(input, context) {
      const file = await room.download(context, input.export)
      return { ...file, path: `/api/v1/exports/${input.export}/content` }
    },
  })
}
