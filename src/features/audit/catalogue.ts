/**
 * Every code that the log can hold, for ever: a code is never given another meaning, and none is taken out while a log may hold it.
 * docs/operate/audit-events.md is made from this (scripts/event-page.ts), and an event with another code does not compile.
 */
export type CatalogueEntry = {
  readonly title: string
  /** What has happened when this stands in the log, for somebody who has never seen Atlas. */
  readonly means: string
  /** Members of the entry and of its sealed detail that say more than who, where and when. */
  readonly fields: readonly string[]
}

export const catalogue = {
  'action.started': {
    title: 'A call was permitted and begins',
    means:
      'Written before anything happens; without an end (succeeded or failed) of the same request, the server crashed during the call.',
    fields: ['action', 'access', 'resource', 'decision', 'approval', 'detail.input', 'detail.remoteAddress'],
  },
  'action.succeeded': {
    title: 'A call ended well',
    means: 'Written before the answer leaves. The same request has an action.started.',
    fields: ['action', 'access', 'resource', 'decision', 'approval', 'outcome'],
  },
  'action.failed': {
    title: 'A call was refused or failed',
    means:
      'With an action.started of the same request it failed on the way and may have had an effect; without one nothing was done.',
    fields: [
      'action',
      'access',
      'resource',
      'decision',
      'outcome',
      'detail.attempted',
      'detail.detail',
      'detail.remoteAddress',
    ],
  },
  'action.asked': {
    title: 'A call waits for a yes',
    means: 'Policy wants another person to approve this exact call. Nothing was done yet.',
    fields: ['action', 'access', 'resource', 'decision', 'approval', 'inputHash'],
  },
  'action.refused-again': {
    title: 'Refused calls were counted',
    means:
      'One caller was refused more often in a minute than is written down one by one. Nothing that had an effect is ever among them.',
    fields: ['detail.count', 'detail.from', 'detail.until', 'detail.refused'],
  },
  'auth.failed': {
    title: 'A token was refused',
    means: 'A request came with a token that is unknown, expired, revoked or of somebody who is blocked.',
    fields: ['resource', 'outcome', 'detail.reason', 'detail.remoteAddress'],
  },
  'auth.refused-again': {
    title: 'Refused tokens were counted',
    means: 'One network was refused more often in a minute than is written down one by one.',
    fields: ['detail.count', 'detail.from', 'detail.until', 'detail.refused'],
  },
  'anomaly.detected': {
    title: 'A credential was used in an unusual way',
    means:
      'The use of a token or sign-in left its habits: a burst, a new network, a new action or an unusual hour. Nothing was blocked.',
    fields: ['resource', 'detail.kind', 'detail.observed', 'detail.baseline'],
  },
  'connection.certificate-changed': {
    title: 'A connected system shows another certificate',
    means:
      'It is trusted like the one before, but it is not the same. Somebody renewed it, or somebody stands in between.',
    fields: ['resource', 'detail'],
  },
  'connection.tls-failed': {
    title: 'A connected system was refused for its certificate',
    means: 'Its certificate is not trusted, is for another name, or has ended. No request was sent.',
    fields: ['resource', 'detail'],
  },
  'connection.pin-mismatch': {
    title: 'A connected system does not have the pinned certificate',
    means: 'The connection is pinned to another certificate or key. No request was sent.',
    fields: ['resource', 'detail'],
  },
  'vault.rekey-started': {
    title: 'A new root key is being put in',
    means: 'From here until vault.rekeyed the keys open with the old or the new root key.',
    fields: ['detail.rootKey'],
  },
  'vault.rekey-undone': {
    title: 'The change of the root key was undone',
    means:
      'It did not come to its end. Every key is sealed for the root key from before, and the new one opens nothing.',
    fields: ['detail.rootKey'],
  },
  'vault.rekeyed': {
    title: 'The root key was changed',
    means: 'Every key is sealed for the new root key; the old one opens nothing any more.',
    fields: ['detail.rootKey'],
  },
  'backup.started': {
    title: 'A backup is being made',
    means: 'Everything is about to be copied into a sealed file. Without this entry no backup is made.',
    fields: ['resource', 'detail.file'],
  },
  'backup.created': {
    title: 'A backup was made',
    means: 'The file is complete, sealed and signed. The log in it ends at detail.logSize.',
    fields: ['resource', 'detail.bytes', 'detail.sha256', 'detail.rows', 'detail.logSize', 'detail.file'],
  },
  'backup.failed': {
    title: 'A backup was not made',
    means: 'Nothing of it was kept.',
    fields: ['resource', 'outcome', 'detail.reason'],
  },
  'backup.removed': {
    title: 'An old backup was removed',
    means: 'There were more than ATLAS_BACKUP_KEEP, so the oldest went.',
    fields: ['resource'],
  },
  'backup.restored': {
    title: 'The data were put back from a backup',
    means:
      'What happened after that backup is not in this log any more. The entry follows the last one that the backup held.',
    fields: ['resource', 'detail.created', 'detail.logSize', 'detail.logRoot', 'detail.sha256'],
  },
  'login.succeeded': {
    title: 'Somebody signed in',
    means: 'The name and the password were right; a token was given out.',
    fields: ['outcome', 'detail.remoteAddress'],
  },
  'login.failed': {
    title: 'A sign-in failed',
    means: 'The name or the password was wrong, the account is blocked, or there were too many attempts.',
    fields: ['outcome', 'detail.reason', 'detail.username', 'detail.remoteAddress'],
  },
  'setup.started': {
    title: 'The first administrator is being made',
    means: 'Somebody used the set-up link, or the configuration names a first password.',
    fields: ['detail.by', 'detail.remoteAddress'],
  },
  'setup.completed': {
    title: 'The first administrator was made',
    means: 'From here on the set-up link is void.',
    fields: ['outcome', 'detail.by', 'detail.remoteAddress'],
  },
  'setup.failed': {
    title: 'The first administrator was not made',
    means: 'The set-up link was wrong, used up or too old, or the name or password did not fit.',
    fields: ['outcome', 'detail.remoteAddress'],
  },
  'webhook.received': {
    title: 'A connected system called',
    means: 'A delivery with a good signature arrived; a sync follows.',
    fields: ['resource', 'detail.remoteAddress'],
  },
  'webhook.refused': {
    title: 'A delivery was refused',
    means: 'Its signature was missing or wrong.',
    fields: ['outcome', 'detail.reason', 'detail.remoteAddress'],
  },
  'webhook.refused-again': {
    title: 'Refused deliveries were counted',
    means: 'One network was refused more often in a minute than is written down one by one.',
    fields: ['detail.count', 'detail.from', 'detail.until', 'detail.refused'],
  },
  'vault.integrity-failed': {
    title: 'A secret could not be opened',
    means: 'The stored secret is damaged, or somebody moved or changed its row in the database.',
    fields: ['resource'],
  },
  'vault.reference-failed': {
    title: 'A value that is kept elsewhere could not be read',
    means:
      'A secret holds a reference, and its place did not give the value: it is gone, not allowed, or does not answer. Told once an hour for each secret.',
    fields: ['resource', 'detail.detail'],
  },
  'server.started': {
    title: 'A server started',
    means:
      'The first entry of a run. Two starts of one run are never seen. `unsealed` says who gave the root key, where it does not lie in the clear: `shares`, `transit`, `aws-kms` or `pkcs11`.',
    fields: ['resource', 'detail.version', 'detail.unsealed'],
  },
  'server.stopped': {
    title: 'A server stopped in order',
    means: 'The last entry of a run.',
    fields: ['resource'],
  },
  'log.gap': {
    title: 'A server ended without saying so',
    means: 'A crash, a kill or a power cut. What its last calls did is told by action.started entries without an end.',
    fields: ['resource', 'outcome', 'detail.startedAt', 'detail.lastSeenAt', 'detail.lastEntry'],
  },
  'log.signer-changed': {
    title: 'Another server signs',
    means: 'This server took the lease to sign the log, because it was free or its holder was not seen any more.',
    fields: ['resource', 'detail.fence'],
  },
  'log.clock-accepted': {
    title: 'The clock was accepted',
    means:
      'Older entries have a later time than the clock of the server. A person looked and said that the clock is right.',
    fields: [],
  },
  'log.witness-contradicts': {
    title: 'A witness contradicts the log',
    means:
      'It has cosigned more entries than the log has, or other ones: the database may have been put back to an earlier day.',
    fields: ['outcome', 'detail.witness', 'detail.fault'],
  },
  'log.sink-failed': {
    title: 'A sink does not get its copies',
    means:
      'A receiver of copies of the log (syslog, webhook, object storage) does not take them. They are kept and sent later; the log itself is whole. At most one outage an hour is recorded.',
    fields: ['outcome', 'resource', 'detail.fault', 'detail.next', 'detail.failures', 'detail.since'],
  },
  'log.sink-recovered': {
    title: 'A sink gets its copies again',
    means: 'The outage that was recorded last is over. What it missed is being sent.',
    fields: ['outcome', 'resource', 'detail.next', 'detail.failures', 'detail.since'],
  },
  'log.pruned': {
    title: 'Retention deleted old parts of the log',
    means:
      'Written and signed before anything is deleted. Every entry below pruned.minimum, and every sealed detail of a class below its index in pruned.details, is gone or going. The hashes of the tree stay, and what is left still proves itself.',
    fields: ['requestId', 'pruned.minimum', 'pruned.details', 'pruned.keep'],
  },
  'audit.subject.forgotten': {
    title: 'A person was forgotten',
    means:
      'The key, the pseudonym and the personal parts of one person were destroyed, and the details of the erased entries, which spoke of the person. The entries stay.',
    fields: ['resource', 'erased'],
  },
} as const satisfies Readonly<Record<string, CatalogueEntry>>

export type EventCode = keyof typeof catalogue
