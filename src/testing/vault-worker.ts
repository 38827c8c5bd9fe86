import { setTimeout as sleep } from 'node:timers/promises'
import { readConfig } from '../config.ts'
import { makeVault } from '../features/vault/vault.ts'
import { openPostgres, openSqlite } from '../lib/db/database.ts'
import { readKeyFile } from '../lib/root-key.ts'
import { rekey } from '../rekey.ts'

// A process that does one thing to a vault, over and over, until it is killed. Told what by its arguments.

const [work = '', ...args] = process.argv.slice(2)
const ready = () => process.stdout.write('ready\n')
if (work === 'rekey') await rekeyForEver(args)
else await rewrapForEver(args)

/** There and back: the two keys are files, the database is configured. */
async function rekeyForEver([a = '', b = '']: string[]): Promise<void> {
  const config = readConfig(process.env)
  ready()
  for (let [from, to] = [a, b]; ; [from, to] = [to, from]) {
    const done = rekey(config, { oldKeyFile: from, newKeyFile: to })
    // The connection of a process that was killed is known to be gone a moment later.
    await done.catch((error: Error) => (/Another Atlas/.test(error.message) ? sleep(50) : Promise.reject(error)))
  }
}

async function rewrapForEver([where = '', key = '']: string[]): Promise<void> {
  const rootKey = readKeyFile(key)
  const database = where.startsWith('postgres') ? openPostgres({ url: where }) : openSqlite(where, rootKey.export())
  const vault = makeVault({ database, rootKey, now: () => new Date(), onIntegrityFailure: () => process.exit(9) })
  await vault.init()
  for (;;) {
    await vault.rotate()
    ready()
    await vault.rewrap({ limit: 10_000 })
  }
}
