import { z } from 'zod'
import { defineConnector } from '../../core/connector.ts'
import { actions } from './actions.ts'
import { check } from './check.ts'
import { explain } from './explain.ts'
import { isPairOfKeys, isPemCertificate, isPemKey } from './pem.ts'
import { isSecretName } from './secret-names.ts'
import { sync } from './sync.ts'

const Url = z
  .url({ protocol: /^https$/, error: 'must be an https address' })
  .max(500)
  .refine((value) => /^https:\/\/[^/?#@]+(?:\/[\w./~-]*)?$/i.test(value), 'must not hold a user, a query or a fragment')
  .describe('Where PuppetDB answers over TLS, for example https://puppetdb.example.net:8081.')

const FactPath = z
  .string()
  .regex(/^[a-z_]\w{0,60}(?:\.\w{1,60}){0,5}$/i, 'must be a fact, for example role or app.version')
  .refine((path) => !isSecretName(path), 'must not be a fact that may hold a secret')

const Credential = z
  .strictObject({
    certificate: z
      .string()
      .refine(isPemCertificate, 'must be a certificate in PEM, beginning with -----BEGIN CERTIFICATE-----')
      .optional()
      .describe('The TLS client certificate in PEM, issued by the Puppet CA.'),
    key: z
      .string()
      .refine(isPemKey, 'must be a private key in PEM, without a passphrase')
      .optional()
      .describe('The private key of the client certificate in PEM, without a passphrase.'),
    token: z
      .string()
      .regex(/^[\x21-\x7e]{8,4096}$/, 'must be a token on one line, without spaces')
      .optional()
      .describe('Puppet Enterprise only: an RBAC token, in place of or beside the certificate.'),
  })
  .refine(({ certificate, key }) => (certificate === undefined) === (key === undefined), {
    error: 'certificate and key are given together',
    path: ['key'],
  })
  .refine(({ certificate, key }) => !certificate || !key || isPairOfKeys(certificate, key), {
    error: 'is not the key of this certificate',
    path: ['key'],
  })

/** https://www.puppet.com/docs/puppetdb/latest/api/query/v4/overview */
export const puppetdb = defineConnector({
  id: 'puppetdb',
  title: 'PuppetDB',
  subjects: ['configuration'],
  config: z.strictObject({
    url: Url,
    pageSize: z.int().min(2).max(2000).default(500).describe('Nodes read per request (2 to 2000).'),
    facts: z
      .array(FactPath)
      .max(30)
      .default([])
      .describe('Further facts to show with each node, for example role or app.version (at most 30).'),
  }),
  credential: Credential,
  authenticate: ({ token }): Record<string, string> => (token ? { 'x-authentication': token.reveal() } : {}),
  clientCertificate: ({ certificate, key }) => (certificate && key ? { certificate, key } : undefined),
  check,
  sync,
  explain,
  actions,
  tested: ['7.12.1 (Debian 12, client certificate)', 'the simulator in simulators/puppetdb, built to 7.12 and 8.8'],
})
