import { z } from 'zod'
import { type Action, defineAction } from '../../core/action.ts'
import { Problem } from '../../core/problem.ts'
import { type Secret, SecretValue } from '../../core/secret.ts'
import { incidentActions } from './incident-actions.ts'
import { keyActions, type Rekey } from './key-actions.ts'
import { type Given, ReferenceText, schemes } from './references/reference.ts'
import type { Vault } from './vault.ts'

type Parts = {
  readonly vault: Pick<
    Vault,
    | 'list'
    | 'put'
    | 'get'
    | 'addVersion'
    | 'destroy'
    | 'reveal'
    | 'setRotation'
    | 'usage'
    | 'keys'
    | 'rotate'
    | 'rewrap'
    | 'rootKeyFingerprint'
    | 'openIncident'
    | 'incident'
    | 'incidents'
    | 'incidentSecrets'
    | 'closeIncident'
  >
  readonly rekey?: Rekey | undefined
}

/** The actions on secrets. Values go in; `vault.secrets.reveal` is the only one that lets a value out. */
export function vaultActions({ vault, rekey }: Parts): readonly Action[] {
  return [
    listSecrets(vault),
    putSecret(vault),
    getSecret(vault),
    destroySecret(vault),
    addVersion(vault),
    reveal(vault),
    setRotation(vault),
    showUsage(vault),
    ...keyActions(vault, rekey),
    ...incidentActions(vault),
  ]
}

const secret = z
  .string()
  .regex(/^sec_[0-9a-hjkmnp-tv-z]{24}$/)
  .describe('Id of the secret, sec_…')
const name = z
  .string()
  .min(1)
  .max(200)
  .regex(/^[^\p{C}\s](?:[^\p{C}\n\r\u2028\u2029]*[^\p{C}\s])?$/u)
const kind = z
  .string()
  .max(40)
  .regex(/^[a-z][a-z0-9-]*$/)

const Summary = z.object({
  id: z.string(),
  name: z.string(),
  kind: z.string(),
  owner: z.string().nullable().describe('The connection that it belongs to'),
  version: z.int().describe('The current version'),
  createdAt: z.iso.datetime(),
  changedAt: z.iso.datetime().describe('When the current version was stored'),
  destroyedAt: z.iso.datetime().nullable(),
  stagedVersion: z.int().nullable().describe('A version that waits to become the current one.'),
  dueAt: z.iso.datetime().nullable().describe('When the value is to be changed; null when never.'),
  rotation: z.enum(['never', 'ok', 'soon', 'overdue']).describe('How far that is: `soon` from the reminder on.'),
  source: z
    .enum(['stored', ...schemes])
    .describe('Where the value is kept: `stored` here, or read at each use by a reference of this scheme.'),
})
const Version = z.object({ id: z.string(), version: z.int() })

/** One of the two: the value, or where it is kept. */
type ValueOrReference = { readonly value?: Secret | undefined; readonly reference?: string | undefined }
const isOne = ({ value, reference }: ValueOrReference) => (value === undefined) !== (reference === undefined)
const oneOfBoth = { path: ['value'], message: 'give either `value` or `reference`' }

function givenIn({ value, reference }: ValueOrReference): Given {
  if (reference !== undefined) return { reference }
  if (value === undefined) throw new TypeError('neither a value nor a reference')
  return value
}

const listSecrets = (vault: Parts['vault']) =>
  defineAction({
    name: 'vault.secrets.list',
    title: 'List secrets',
    description: 'Names, kinds, owners and ages of the stored secrets. Never their values.',
    access: 'read',
    http: { method: 'GET', path: '/secrets' },
    input: z.strictObject({
      name: name.optional().describe('Only secrets with exactly this name.'),
      owner: z.string().min(1).max(64).optional().describe('Only secrets of the connection with this id.'),
      rotation: z
        .enum(['soon', 'overdue'])
        .optional()
        .describe('Only secrets that are to be changed soon, or long since.'),
      limit: z.int().min(1).max(200).default(50).describe('At most so many in one answer.'),
      cursor: secret.optional().describe('The `next` of the answer before.'),
    }),
    output: z.object({ items: z.array(Summary), next: z.string().nullable() }),
    resource: () => ({ type: 'secret', id: '*' }),
    run: (input) => vault.list(input),
  })

const putSecret = (vault: Parts['vault']) =>
  defineAction({
    name: 'vault.secrets.put',
    title: 'Store a secret',
    description:
      'Stores a new secret, encrypted: its value, or a reference to where the value is kept. The value cannot be read back except by whoever may reveal secrets.',
    access: 'write',
    http: { method: 'POST', path: '/secrets' },
    input: z
      .strictObject({
        name: name.describe('A name that no other secret has. Names are not secret.'),
        value: SecretValue.optional().describe('The value. Either this or `reference`.'),
        reference: ReferenceText.optional(),
        kind: kind
          .default('generic')
          .describe(
            'What it is, for example api-token, password, certificate or username (the one kind not redacted).',
          ),
      })
      .refine(isOne, oneOfBoth),
    output: Version,
    resource: () => ({ type: 'secret', id: '*' }),
    run: ({ name, kind, ...given }) => vault.put({ name, kind, value: givenIn(given) }),
  })

const getSecret = (vault: Parts['vault']) =>
  defineAction({
    name: 'vault.secrets.get',
    title: 'Show a secret without its value',
    description: 'Metadata of one secret and its versions, also of a destroyed one. Never the value.',
    access: 'read',
    http: { method: 'GET', path: '/secrets/{secret}' },
    input: z.strictObject({ secret }),
    output: Summary.extend({
      rotateAfterDays: z.int().nullable(),
      remindAfterDays: z.int().nullable(),
      reference: z.string().nullable().describe('Where the value is kept; null when it is stored here.'),
      versions: z.array(
        z.object({ version: z.int(), createdAt: z.iso.datetime(), destroyedAt: z.iso.datetime().nullable() }),
      ),
    }),
    resource: (input) => ({ type: 'secret', id: input.secret }),
    run: (input) => vault.get(input.secret),
  })

const destroySecret = (vault: Parts['vault']) =>
  defineAction({
    name: 'vault.secrets.destroy',
    title: 'Destroy a secret',
    description:
      'Destroys all versions of a secret for good. Its name and dates stay. A secret of a connection is refused.',
    access: 'destroy',
    http: { method: 'DELETE', path: '/secrets/{secret}' },
    input: z.strictObject({ secret }),
    output: z.object({}),
    resource: (input) => ({ type: 'secret', id: input.secret }),
    run: async (input) => {
      await refuseOwned(vault, input.secret)
      await vault.destroy(input.secret)
      return {}
    },
  })

const addVersion = (vault: Parts['vault']) =>
  defineAction({
    name: 'vault.versions.add',
    title: 'Store a new version of a secret',
    description:
      'Stores a new value, or a reference to where it is kept, which is the current one from then on. A secret of a connection is refused.',
    access: 'write',
    http: { method: 'POST', path: '/secrets/{secret}/versions' },
    input: z
      .strictObject({
        secret,
        value: SecretValue.optional().describe('The new value. Either this or `reference`.'),
        reference: ReferenceText.optional(),
      })
      .refine(isOne, oneOfBoth),
    output: Version,
    resource: (input) => ({ type: 'secret', id: input.secret }),
    run: async (input) => {
      await refuseOwned(vault, input.secret)
      return vault.addVersion(input.secret, givenIn(input))
    },
  })

const setRotation = (vault: Parts['vault']) =>
  defineAction({
    name: 'vault.rotation.set',
    title: 'Set when a secret is to be changed',
    description:
      'Days after which a value counts as overdue, from when it was stored, and after which lists begin to remind of it. Without `days` the usual 90 and 75 hold again.',
    access: 'write',
    http: { method: 'PATCH', path: '/secrets/{secret}' },
    input: z
      .strictObject({
        secret,
        days: z.int().min(0).max(3650).optional().describe('Days; 0 for a value that is never to be changed.'),
        remindAfterDays: z.int().min(0).max(3650).optional().describe('Default: five sixths of `days`.'),
      })
      .refine(({ days, remindAfterDays }) => remindAfterDays === undefined || remindAfterDays <= (days ?? 90), {
        path: ['remindAfterDays'],
        message: 'must not be more than the days',
      }),
    output: z.object({ dueAt: z.iso.datetime().nullable(), rotation: z.enum(['never', 'ok', 'soon', 'overdue']) }),
    resource: (input) => ({ type: 'secret', id: input.secret }),
    async run({ secret: id, ...wish }) {
      await vault.setRotation(id, wish)
      const { dueAt, rotation } = await vault.get(id)
      return { dueAt, rotation }
    },
  })

const showUsage = (vault: Parts['vault']) =>
  defineAction({
    name: 'vault.secrets.usage',
    title: 'Show who used a secret',
    description:
      'How often which version was taken in which hour of the last 90 days, by which connection or person: newest hours first, and each version in sum. Shows whether an old version is still in use.',
    access: 'read',
    http: { method: 'GET', path: '/secrets/{secret}/usage' },
    input: z.strictObject({
      secret,
      limit: z.int().min(1).max(720).default(168).describe('At most so many hours.'),
      before: z.iso.datetime().optional().describe('The `next` of the answer before.'),
    }),
    output: z.object({
      versions: z.array(z.object({ version: z.int(), uses: z.int(), lastUsedAt: z.iso.datetime() })),
      items: z.array(
        z.object({
          hour: z.iso.datetime().describe('When the hour began.'),
          version: z.int(),
          by: z.string().describe('A connection, a person, or `atlas` itself.'),
          uses: z.int(),
          lastUsedAt: z.iso.datetime(),
        }),
      ),
      next: z.iso.datetime().nullable(),
    }),
    resource: (input) => ({ type: 'secret', id: input.secret }),
    run: ({ secret: id, ...page }) => vault.usage(id, page),
  })

const reveal = (vault: Parts['vault']) =>
  defineAction({
    name: 'vault.secrets.reveal',
    title: 'Reveal a secret',
    description: 'Answers with the value of a secret in clear. No role has this right unless somebody gives it.',
    access: 'reveal',
    http: { method: 'POST', path: '/secrets/{secret}/reveal' },
    events: ['vault.integrity-failed'],
    input: z.strictObject({
      secret,
      version: z.int().min(1).optional().describe('Another version than the current one.'),
    }),
    output: Version.extend({ value: z.string() }),
    resource: (input) => ({ type: 'secret', id: input.secret }),
    run: async (input, { principal }) => {
      const { version, value } = await vault.reveal(input.secret, input.version, principal.id)
      return { id: input.secret, version, value: value.reveal() }
    },
  })

/** A connection's secrets change with the connection, which checks the new credential. Owners never change. */
async function refuseOwned(vault: Parts['vault'], id: string): Promise<void> {
  const { owner } = await vault.get(id)
  if (owner !== null)
    throw new Problem('conflict', `The secret belongs to the connection ${owner}; edit the connection instead`)
}
