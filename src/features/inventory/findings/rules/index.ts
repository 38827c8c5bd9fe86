import type { Rule } from '../rule.ts'
import { addressDisagreement } from './address-disagreement.ts'
import { certificateExpiring } from './certificate-expiring.ts'
import { credentialOverdue } from './credential-overdue.ts'
import { monitoredButGone } from './monitored-but-gone.ts'
import { noBackup } from './no-backup.ts'
import { notInRegistry } from './not-in-registry.ts'
import { notInVirtualization } from './not-in-virtualization.ts'
import { notMonitored } from './not-monitored.ts'
import { oldSnapshot } from './old-snapshot.ts'
import { poolFull } from './pool-full.ts'
import { poweredOff } from './powered-off.ts'
import { silentAgent } from './silent-agent.ts'
import { statusDisagreement } from './status-disagreement.ts'

/** Every rule. docs/operate/findings.md explains each; a test compares. */
export const rules: readonly Rule[] = [
  noBackup,
  notMonitored,
  monitoredButGone,
  notInRegistry,
  notInVirtualization,
  addressDisagreement,
  statusDisagreement,
  poweredOff,
  oldSnapshot,
  silentAgent,
  poolFull,
  credentialOverdue,
  certificateExpiring,
]
