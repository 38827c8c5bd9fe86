import { dayMs, ownWord, statement } from '../evidence.ts'
import { defineRule, type RuleContext } from '../rule.ts'

export const certificateExpiring = defineRule({
  id: 'certificate-expiring',
  title: 'Certificate expiring',
  severity: 'high',
  meaning:
    'A certificate of a connected system, or one that a system keeps, runs out soon. Once expired it is critical.',
  advice: 'Renew the certificate in the system; where it is a new authority, give the connection its certificate.',
  settings: { days: { title: 'Days before the end at which to warn', default: 30, min: 1, max: 365 } },
  witnesses: [],
  connection: {
    finds: ({ certificateExpiresAt }, context) => expiry(certificateExpiresAt, context),
    evidence: ({ id, certificateExpiresAt }, { now }) => [
      ownWord(certificateExpiresAt ? `certificate ends ${certificateExpiresAt}` : 'no certificate is known', now, id),
    ],
  },
  thing: {
    finds: ({ kind, facts }, context) => kind === 'certificate' && expiry(facts.expiresAt, context),
    evidence: (thing) => [
      statement(thing, thing.subjects[0] ?? 'configuration', `ends ${thing.facts.expiresAt ?? 'at an unknown time'}`),
    ],
  },
})

function expiry(at: string | null | undefined, { now, settings }: RuleContext<'days'>): boolean | 'critical' {
  if (!at) return false
  const left = Date.parse(at) - now.getTime()
  if (left <= 0) return 'critical'
  return left <= settings.days * dayMs
}
