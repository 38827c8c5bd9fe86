import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { startAuditReceivers } from '../../simulators/audit-receivers/start.ts'
import { newFolder, startAtlas } from '../../src/testing/server.ts'
import { until } from '../../src/testing/sinks.ts'
import { findCanaries } from './canaries.ts'

type Status = { size: number; sinks: { name: string; lagEntries: number; fault: string | null; failures: number }[] }

test('a server with all three sinks delivers its log to each, and stops with everything delivered', async (t) => {
  const receivers = await startAuditReceivers()
  t.after(receivers.stop)
  const folder = newFolder(t)
  const atlas = await startAtlas(t, { folder, env: receivers.settings })
  const status = () => atlas.api<Status>('GET', '/audit/status')
  for (let i = 0; i < 20; i++) await atlas.api('GET', '/assets')
  await until(async () => receivers.webhook.entries().length > 40, 'the webhook gets the calls')
  await until(async () => (await status()).sinks.every(({ fault }) => fault === null), 'nobody is at fault')
  const shown = await atlas.cli(['audit', 'status'])
  const { vkey } = await atlas.api<{ vkey: string }>('GET', '/audit/checkpoint')
  const doctor = await atlas.cli(['doctor'])

  const { code } = await atlas.stop()

  assert.equal(code, 0)
  for (const name of ['syslog', 'webhook', 's3']) assert.match(shown.stdout, new RegExp(`name +${name}\n`))
  assert.match(doctor.stdout, /audit sinks +syslog, webhook, s3 up to date/)
  const { syslog, webhook, bucket } = receivers
  const last = webhook.entries().at(-1)
  assert.equal((JSON.parse(last?.leaf ?? '{}') as { code: string }).code, 'server.stopped')
  const size = (last?.index ?? 0) + 1
  const all = Array.from({ length: size }, (_, i) => i)
  assert.deepEqual(
    webhook.entries().map(({ index }) => index),
    all,
  )
  assert.deepEqual(
    syslog.byIndex().map(({ index }) => index),
    all,
  )
  assert.deepEqual([syslog.errors, webhook.refused], [[], []])
  for (const [key, { body }] of bucket.objects) {
    mkdirSync(dirname(join(folder, 'bucket', key)), { recursive: true })
    writeFileSync(join(folder, 'bucket', key), body)
  }
  writeFileSync(join(folder, 'vkey'), `${vkey}\n`)
  const made = await atlas.cli(['audit', 'assemble', 'bucket', 'export', '--vkey', 'vkey'])
  assert.equal(made.code, 0, made.stderr)
  const verified = await atlas.cli(['audit', 'verify', '--offline', 'export', '--vkey', 'vkey'])
  assert.equal(verified.code, 0, verified.stderr)
  assert.match(verified.stdout, new RegExp(`size +${size}\n`))
  const again = await atlas.cli(['audit', 'assemble', 'bucket', 'export', '--vkey', 'vkey'])
  assert.deepEqual([again.code, /export is not empty/.test(again.stderr)], [1, true])
})

test('sinks that refuse are shown as such; their secrets and addresses are in no log, answer or event', async (t) => {
  const receivers = await startAuditReceivers()
  t.after(receivers.stop)
  const planted = {
    webhookSecret: `whsec_${Buffer.from('planted-webhook-secret-0123456789').toString('base64')}`,
    webhookPath: 'planted-token-in-the-path',
    s3Secret: 'planted/s3+secret0123456789abcdefghijklm',
    syslogHost: 'planted-host.invalid',
  }
  const env = {
    ...receivers.settings,
    ATLAS_LOG_LEVEL: 'trace',
    ATLAS_AUDIT_WEBHOOK_URL: `${receivers.url}/${planted.webhookPath}`,
    ATLAS_AUDIT_WEBHOOK_SECRET: planted.webhookSecret,
    ATLAS_AUDIT_S3_SECRET_ACCESS_KEY: planted.s3Secret,
    ATLAS_AUDIT_SYSLOG: `tls://${planted.syslogHost}:6514`,
  }
  const atlas = await startAtlas(t, { env })
  const status = () => atlas.api<Status>('GET', '/audit/status')
  await until(async () => (await status()).sinks.every(({ failures }) => failures > 0), 'all of them fail')
  const answer = await atlas.api('GET', '/assets')
  assert.ok(answer, 'calls go on')
  const { items } = await atlas.api<{ items: { resource: { id: string } }[] }>(
    'GET',
    '/audit/events?code=log.sink-failed',
  )
  const doctor = await atlas.cli(['doctor'])
  const { stdout, stderr } = await atlas.stop()

  assert.deepEqual(items.map(({ resource }) => resource.id).sort(), ['s3', 'syslog', 'webhook'])
  assert.match(
    doctor.stdout,
    /! audit sinks .*syslog: The host name .* does not resolve.*webhook: .*s3: .*403 SignatureDoesNotMatch/,
  )
  const texts = {
    output: stdout + stderr,
    doctor: doctor.stdout,
    answers: atlas.answers.map(({ text }) => text).join(),
  }
  const places = Object.entries(texts).map(([where, text]) => ({ where, bytes: Buffer.from(text) }))
  assert.deepEqual(findCanaries({ ...planted, bytes: planted.webhookSecret.slice(6) }, places), [])
})
