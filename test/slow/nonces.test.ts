import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Secret } from '../../src/core/secret.ts'
import { vaultMigrations } from '../../src/features/vault/migrations.ts'
import type { VersionRow } from '../../src/features/vault/store.ts'
import type { VaultKeyRow } from '../../src/features/vault/store-keys.ts'
import { makeVault, type Vault } from '../../src/features/vault/vault.ts'
import type { Database } from '../../src/lib/db/database.ts'
import { seal } from '../../src/lib/envelope.ts'
import { fixedClock, testOnEach, testRootKey } from '../../src/testing/databases.ts'

// The container is magic (2) ‖ format (1) ‖ algorithm (1) ‖ key id (8) ‖ nonce (12) ‖ ciphertext ‖ tag (16).
const nonceOf = (box: Buffer) => box.toString('latin1', 12, 24)
const keyOf = (box: Buffer) => box.toString('hex', 4, 12)

test('a million encryptions under one key use a million nonces (SEC-ENC-6)', () => {
  const plain = Buffer.from('value')
  const nonces = new Set<string>()

  for (let i = 0; i < 1_000_000; i++) nonces.add(nonceOf(seal(testRootKey, plain, ['secret_version', 'sec_1'])))

  assert.equal(nonces.size, 1_000_000)
})

const maxWraps = 20

async function start(database: Database): Promise<Vault> {
  const onIntegrityFailure = (id: string) => assert.fail(id)
  const vault = makeVault({ database, rootKey: testRootKey, now: fixedClock().now, onIntegrityFailure, maxWraps })
  await vault.init()
  return vault
}

testOnEach(
  'no key wraps more often than it may, whatever four processes do at once and however often they start anew (SEC-ENC-6)',
  vaultMigrations,
  async (database) => {
    const values = new Map<string, string>()
    let number = 0
    for (let run = 0; run < 3; run++) {
      const vaults = await Promise.all(Array.from({ length: 4 }, () => start(database)))
      const write = async (vault: Vault) => {
        const value = `value ${number++}`
        const { id } = await vault.put({ name: value, value: new Secret(value) })
        values.set(id, value)
        await vault.addVersion(id, new Secret(`${value}, newer`))
        values.set(id, `${value}, newer`)
      }
      const work = vaults.flatMap((vault) => Array.from({ length: 9 }, () => write(vault)))
      // Each version that moves to the newest key is wrapped once more.
      await Promise.all([...work, vaults[0]?.rewrap({ limit: 50 }), vaults[1]?.rewrap({ limit: 50 })])
    }

    const db = database.db.withTables<{ vault_key: VaultKeyRow; secret_version: VersionRow }>()
    const keys = await db.selectFrom('vault_key').selectAll().execute()
    const versions = await db.selectFrom('secret_version').selectAll().execute()
    const boxes = versions.flatMap(({ wrapped }) => (wrapped ? [Buffer.from(wrapped)] : []))

    assert.equal(boxes.length, 3 * 4 * 9 * 2)
    assert.ok(keys.length >= boxes.length / maxWraps, `${keys.length} keys`)
    assert.equal(keys.filter(({ state }) => state === 'active').length, 1)
    // The one that came too late, and got the next key, is counted as well.
    assert.deepEqual(
      keys.filter(({ wraps }) => wraps > maxWraps + 1),
      [],
    )
    const wraps = new Map(keys.map(({ id, wraps }) => [id, wraps]))
    for (const [id, rows] of Map.groupBy(versions, ({ key_id }) => key_id))
      assert.ok(rows.length <= Math.min(maxWraps, wraps.get(id) ?? 0), `${rows.length} versions under ${id}`)
    for (const [key, of] of Map.groupBy(boxes, keyOf))
      assert.equal(new Set(of.map(nonceOf)).size, of.length, `a nonce twice under ${key}`)
    const again = await start(database)
    for (const [id, value] of values) assert.equal((await again.use(id)).reveal(), value)
  },
)
