import { makeCa } from '../lib/ca.ts'
import { startLockedBucket } from './s3.ts'
import { startSyslogReceiver } from './syslog.ts'
import { startWebhookReceiver } from './webhook.ts'

/** All three receivers under one authority, and the settings that send the audit log to them. The webhook takes the port that is given. */
export async function startAuditReceivers({ port = 0 }: { readonly port?: number } = {}) {
  const ca = makeCa()
  const [syslog, webhook, bucket] = await Promise.all([
    startSyslogReceiver({ ca }),
    startWebhookReceiver({ ca, port }),
    startLockedBucket({ ca }),
  ])
  const settings = {
    ATLAS_AUDIT_SYSLOG: syslog.url,
    ATLAS_AUDIT_SYSLOG_CA: ca.caPem,
    ATLAS_AUDIT_WEBHOOK_URL: webhook.url,
    ATLAS_AUDIT_WEBHOOK_CA: ca.caPem,
    ATLAS_AUDIT_WEBHOOK_SECRET: webhook.secrets[0] ?? '',
    ATLAS_AUDIT_S3_BUCKET: bucket.url,
    ATLAS_AUDIT_S3_CA: ca.caPem,
    ATLAS_AUDIT_S3_REGION: bucket.region,
    ATLAS_AUDIT_S3_ACCESS_KEY_ID: bucket.credential.accessKeyId,
    ATLAS_AUDIT_S3_SECRET_ACCESS_KEY: bucket.credential.secretAccessKey,
    ATLAS_AUDIT_S3_LOCK_DAYS: '1',
  }
  return {
    syslog,
    webhook,
    bucket,
    settings,
    url: webhook.url,
    caPem: ca.caPem,
    credential: { webhookSecret: webhook.secrets[0], ...bucket.credential },
    adminToken: webhook.adminToken,
    stop: async () => {
      await Promise.all([syslog.stop(), webhook.stop(), bucket.stop()])
    },
  }
}
