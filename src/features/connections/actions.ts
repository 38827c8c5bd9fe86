import { z } from 'zod'
import { type Action, type Context, defineAction } from '../../core/action.ts'
import { Secret } from '../../core/secret.ts'
import { distrustReasons } from '../../lib/http-outcome.ts'
import { connectionStates } from './connection.ts'
import type { Connections } from './connections.ts'
import type { Credential } from './credential.ts'
import { type CheckReferences, credentialActions } from './credential-actions.ts'
import { Connection, ShownProblem } from './fields.ts'
import { syncActions } from './sync-actions.ts'
import { webhookActions } from './webhook-actions.ts'

type Parts = {
  readonly connections: Connections
  /** Throws `denied` for whoever may not store secrets: a reference leads to what somebody else keeps, and a connection sends it away. */
  readonly mayRefer: (context: Context) => void
}

/** Actions on connections, the kinds of systems they can be of, and their syncs. */
export function connectionActions({ connections, mayRefer }: Parts): readonly Action[] {
  const check = (context: Context, credential: Credential | undefined) => {
    if (Object.values(credential ?? {}).some((given) => !(given instanceof Secret))) mayRefer(context)
  }
  return [
    listConnectors(connections),
    listConnections(connections),
    addConnection(connections, check),
    getConnection(connections),
    editConnection(connections, check),
    removeConnection(connections),
    checkConnection(connections),
    ...credentialActions(connections, check),
    ...syncActions(connections),
    ...webhookActions(connections),
  ]
}

const Config = z
  .record(z.string().max(64), z.unknown())
  .describe('Settings as the connector describes them; always `url`, the https address of the system.')
const Name = z
  .string()
  .regex(
    /^[\p{L}\p{N}]([\p{L}\p{N} ._-]{0,62}[\p{L}\p{N}])?$/u,
    'must be 1 to 64 letters, digits, spaces, dots, - or _',
  )
  .refine((name) => !/^con_/i.test(name), 'must not look like an id')
const Schedule = z
  .string()
  .max(100)
  .nullable()
  .describe('When it syncs: five cron fields in UTC, or null for never. Default: every 15 minutes.')
const CaCertificate = z
  .string()
  .max(65_536)
  .describe("Certificates (PEM) that this connection trusts instead of the public authorities', for an own CA.")

const CertificatePin = z
  .string()
  .regex(
    /^([0-9A-Fa-f]{2}:?){31}[0-9A-Fa-f]{2}$/,
    'must be a SHA-256 fingerprint: 64 hex digits, with or without colons',
  )
  .transform((text) => text.replaceAll(':', '').toLowerCase())
  .describe(
    'SHA-256 of the only certificate, or of its public key (SPKI), that is talked to, beside every other check.',
  )

const AllowWrites = z
  .boolean()
  .describe('Whether actions may change the system. Default no: then its writing tools are absent.')

const ConnectionView = z.object({
  id: z.string(),
  connector: z.string().describe('The kind of system.'),
  name: z.string(),
  config: z.record(z.string(), z.unknown()),
  credential: z.array(z.string()).describe('Names of the credential fields that are set; never their values.'),
  hasCaCertificate: z.boolean(),
  certificatePin: z.string().nullable(),
  schedule: z.string().nullable(),
  allowWrites: z.boolean().describe('Whether actions may change the system.'),
  state: z.enum(connectionStates),
  problem: ShownProblem.nullable().describe('Why it is failing.'),
  lastCheck: z
    .object({
      at: z.string(),
      ok: z.boolean(),
      version: z.string().optional(),
      account: z.string().optional(),
      warnings: z.array(z.string()),
      problem: ShownProblem.optional(),
    })
    .nullable(),
  lastSyncedAt: z.string().nullable().describe('When a sync last came to its end.'),
  certificate: z
    .object({
      fingerprint: z.string().describe('SHA-256 in hex.'),
      issuer: z.string(),
      endsAt: z.string(),
      changedAt: z.string().nullable().describe('When the system showed it instead of another; null for the first.'),
    })
    .nullable()
    .describe('The certificate that the system last showed.'),
  tlsFailure: z
    .object({ at: z.string(), reason: z.enum(distrustReasons) })
    .nullable()
    .describe('Why the system was last not trusted, told once an hour, whatever came after.'),
  activeSync: z.string().nullable().describe('The sync run that is queued or running.'),
  createdAt: z.string(),
  updatedAt: z.string(),
})

const one = ({ connection }: { connection: string }) => ({ type: 'connection', id: connection })
const all = () => ({ type: 'connection', id: '*' })

function listConnectors(connections: Connections) {
  return defineAction({
    name: 'connections.connectors.list',
    title: 'List kinds of systems',
    description: 'The kinds of systems that can be connected, with the settings and credential fields that each needs.',
    access: 'read',
    http: { method: 'GET', path: '/connectors' },
    input: z.strictObject({}),
    output: z.object({
      items: z.array(
        z.object({
          id: z.string(),
          title: z.string(),
          config: z.record(z.string(), z.unknown()).describe('JSON Schema of the settings.'),
          credential: z.record(z.string(), z.unknown()).describe('JSON Schema of the credential fields.'),
          tested: z.array(z.string()).describe('Versions that it was run against.'),
          actions: z.array(z.string()),
          canSync: z.boolean(),
        }),
      ),
      next: z.null(),
    }),
    resource: all,
    run: async () => ({
      items: connections.connectors().map(({ id, title, config, credential, tested, actions, sync }) => ({
        id,
        title,
        config: z.toJSONSchema(config, { io: 'input' }),
        credential: z.toJSONSchema(credential, { io: 'input' }),
        tested: [...tested],
        actions: actions.map(({ name }) => name),
        canSync: sync !== undefined,
      })),
      next: null,
    }),
  })
}

function listConnections(connections: Connections) {
  return defineAction({
    name: 'connections.connections.list',
    title: 'List connections',
    description: 'All configured connections with their state, last check and last sync.',
    access: 'read',
    http: { method: 'GET', path: '/connections' },
    input: z.strictObject({}),
    output: z.object({ items: z.array(ConnectionView), next: z.null() }),
    resource: all,
    run: async () => ({ items: (await connections.list()).map(writable), next: null }),
  })
}

function addConnection(connections: Connections, check: CheckReferences) {
  return defineAction({
    name: 'connections.connections.add',
    title: 'Add a connection',
    description: 'Connects a system. The credential goes into the vault. Check it afterwards, then start a sync.',
    access: 'write',
    http: { method: 'POST', path: '/connections' },
    input: z.strictObject({
      connector: z.string().min(1).max(64).describe('Kind of system, from the list of connectors.'),
      name: Name.describe('A name of your choice, unique among connections.'),
      config: Config,
      credential: z
        .record(z.string().max(64), connections.credentialValue)
        .describe('Credential fields as the connector describes them.'),
      schedule: Schedule.optional(),
      caCertificate: CaCertificate.optional(),
      certificatePin: CertificatePin.optional(),
      allowWrites: AllowWrites.optional(),
    }),
    output: ConnectionView,
    resource: all,
    run: async (input, context) => {
      check(context, input.credential)
      return writable(await connections.add(input))
    },
  })
}

function getConnection(connections: Connections) {
  return defineAction({
    name: 'connections.connections.get',
    title: 'Show a connection',
    description: 'One connection: its settings, which credential fields are set, its state, last check and last sync.',
    access: 'read',
    http: { method: 'GET', path: '/connections/{connection}' },
    input: z.strictObject({ connection: Connection }),
    output: ConnectionView,
    resource: one,
    run: async ({ connection }) => writable(await connections.get(connection)),
  })
}

function editConnection(connections: Connections, check: CheckReferences) {
  return defineAction({
    name: 'connections.connections.edit',
    title: 'Edit a connection',
    description:
      'Changes what is given and keeps the rest. New credential values become new versions. Moving the url to another origin, or another CA certificate or pin, needs the whole credential again.',
    access: 'write',
    http: { method: 'PATCH', path: '/connections/{connection}' },
    input: z.strictObject({
      connection: Connection,
      name: Name.optional().describe('A new name.'),
      config: Config.optional(),
      credential: z
        .record(z.string().max(64), connections.credentialValue)
        .optional()
        .describe('New values of credential fields.'),
      schedule: Schedule.optional(),
      caCertificate: CaCertificate.nullable().optional(),
      certificatePin: CertificatePin.nullable().optional(),
      allowWrites: AllowWrites.optional(),
    }),
    output: ConnectionView,
    resource: one,
    run: async ({ connection, ...change }, context) => {
      check(context, change.credential)
      return writable(await connections.edit(connection, change))
    },
  })
}

function removeConnection(connections: Connections) {
  return defineAction({
    name: 'connections.connections.remove',
    title: 'Remove a connection',
    description: 'Stops its sync, removes its assets from the inventory and destroys its credential.',
    access: 'destroy',
    http: { method: 'DELETE', path: '/connections/{connection}' },
    input: z.strictObject({ connection: Connection }),
    output: z.object({ removed: z.literal(true) }),
    resource: one,
    async run({ connection }) {
      await connections.remove(connection)
      return { removed: true as const }
    },
  })
}

function checkConnection(connections: Connections) {
  return defineAction({
    name: 'connections.connections.check',
    title: 'Check a connection',
    description: 'Signs in to the system once and says what it found: version, account, warnings, or the problem.',
    access: 'read',
    http: { method: 'POST', path: '/connections/{connection}/check' },
    input: z.strictObject({ connection: Connection }),
    output: z.object({
      at: z.string(),
      ok: z.boolean(),
      version: z.string().optional(),
      account: z.string().optional(),
      warnings: z.array(z.string()),
      problem: ShownProblem.optional(),
    }),
    resource: one,
    run: async ({ connection }, { signal, requestId }) => {
      const outcome = await connections.check(connection, { signal, requestId })
      return { ...outcome, warnings: [...outcome.warnings] }
    },
  })
}

/** The same view, with arrays that zod's types accept. */
function writable(view: Awaited<ReturnType<Connections['get']>>): z.input<typeof ConnectionView> {
  const { credential, lastCheck, ...rest } = view
  return {
    ...rest,
    credential: [...credential],
    lastCheck: lastCheck && { ...lastCheck, warnings: [...lastCheck.warnings] },
  }
}
