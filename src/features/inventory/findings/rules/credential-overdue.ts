import { dayMs, ownWord } from '../evidence.ts'
import { defineRule } from '../rule.ts'

export const credentialOverdue = defineRule({
  id: 'credential-overdue',
  title: 'Credential overdue for rotation',
  severity: 'warning',
  meaning: 'The credential of a connection should have been changed by now.',
  advice: 'Make a new credential in the system, store it in the connection, and revoke the old one.',
  settings: { days: { title: 'Days of grace after the rotation is due', default: 0, min: 0, max: 365 } },
  witnesses: [],
  connection: {
    finds: ({ credentialDueAt }, { now, settings }) =>
      credentialDueAt ? now.getTime() - Date.parse(credentialDueAt) > settings.days * dayMs : false,
    evidence: ({ id, credentialDueAt }, { now }) => [
      ownWord(credentialDueAt ? `rotation due ${credentialDueAt}` : 'no rotation is due', now, id),
    ],
  },
})
