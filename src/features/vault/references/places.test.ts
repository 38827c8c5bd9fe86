import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { Problem } from '../../../core/problem.ts'
import { Secret } from '../../../core/secret.ts'
import { fixedClock } from '../../../testing/databases.ts'
import { makeEnvSource } from './env.ts'
import { makeFileSource } from './file.ts'
import { makeReferences } from './resolver.ts'

// env:// and file://, as an operator allowed them: the environment and the disk stay out of reach for whoever may store a secret.

const value = 'the-value-of-a-file-0123456789'

/** Two folders beside each other; references may lead into the first. */
function folders(t: TestContext) {
  const top = mkdtempSync(join(tmpdir(), 'atlas-references-'))
  t.after(() => rmSync(top, { recursive: true, force: true }))
  const [allowed, other] = [join(top, 'allowed'), join(top, 'allowed-not')]
  mkdirSync(allowed, { mode: 0o700 })
  mkdirSync(other, { mode: 0o700 })
  const put = (folder: string, name: string, mode = 0o600, text = `${value}\n`): string => {
    const path = join(folder, name)
    writeFileSync(path, text)
    chmodSync(path, mode)
    return path
  }
  return { top, allowed, other, put }
}

type Place = ReturnType<typeof folders>

/** The value, or the problem's words with the path taken out. */
async function readIn({ allowed }: Place, path: string): Promise<string> {
  const references = makeReferences({
    sources: { file: makeFileSource({ directory: allowed }) },
    now: fixedClock().now,
  })
  return answerOf(references.read(`file://${path}`), path)
}

async function answerOf(reading: Promise<{ value: Secret }>, path = '\u0000'): Promise<string> {
  try {
    return (await reading).value.reveal()
  } catch (error) {
    assert.ok(error instanceof Problem && error.type === 'secret-unavailable', String(error))
    assert.ok(!error.message.includes(value))
    return error.message.replace(`file://${path}: `, '')
  }
}

const outside = 'the path is not below ATLAS_REFERENCE_DIR'
const open = 'others may read or change the file; run chmod 600 (or 640) on it'

const files: readonly { title: string; path: (place: Place) => string; gets: string }[] = [
  {
    title: 'a file below the directory is read, without its last line end',
    path: (p) => p.put(p.allowed, 'x'),
    gets: value,
  },
  {
    title: 'a file with a Windows line end is read without it',
    path: (p) => p.put(p.allowed, 'x', 0o400, `${value}\r\n`),
    gets: value,
  },
  { title: 'a file that its group may read is read', path: (p) => p.put(p.allowed, 'x', 0o440), gets: value },
  {
    title: 'a link that stays inside is followed, as mounted secrets want it',
    path(p) {
      p.put(p.allowed, '..data')
      symlinkSync('..data', join(p.allowed, 'token'))
      return join(p.allowed, 'token')
    },
    gets: value,
  },
  { title: 'a file elsewhere is refused', path: (p) => p.put(p.other, 'x'), gets: outside },
  { title: 'a file in the folder above is refused', path: (p) => p.put(p.top, 'x'), gets: outside },
  { title: 'the directory itself is refused', path: (p) => p.allowed, gets: outside },
  {
    title: 'dots that lead out are no reference',
    path: (p) => `${p.allowed}/../allowed-not/${p.put(p.other, 'x').split('/').at(-1)}`,
    gets: 'must look like file:///directory/name',
  },
  {
    title: 'a link that leads out is refused',
    path(p) {
      symlinkSync(p.put(p.other, 'x'), join(p.allowed, 'x'))
      return join(p.allowed, 'x')
    },
    gets: 'the path leads out of ATLAS_REFERENCE_DIR',
  },
  {
    title: 'a folder that is a link and leads out is refused',
    path(p) {
      p.put(p.other, 'x')
      symlinkSync(p.other, join(p.allowed, 'folder'))
      return join(p.allowed, 'folder', 'x')
    },
    gets: 'the path leads out of ATLAS_REFERENCE_DIR',
  },
  { title: 'a file that everybody may read is refused', path: (p) => p.put(p.allowed, 'x', 0o604), gets: open },
  { title: 'a file that its group may change is refused', path: (p) => p.put(p.allowed, 'x', 0o660), gets: open },
  {
    title: 'a directory that others may change is refused',
    path(p) {
      chmodSync(p.allowed, 0o770)
      return p.put(p.allowed, 'x')
    },
    gets: 'ATLAS_REFERENCE_DIR can be written by others, who could put another file there',
  },
  {
    title: 'a folder is no value',
    path(p) {
      mkdirSync(join(p.allowed, 'x'), { mode: 0o700 })
      return join(p.allowed, 'x')
    },
    gets: 'this is not a regular file',
  },
  {
    title: 'a pipe that nobody writes to does not hold up the reading',
    path(p) {
      execFileSync('mkfifo', ['-m', '600', join(p.allowed, 'x')])
      return join(p.allowed, 'x')
    },
    gets: 'this is not a regular file',
  },
  { title: 'a file that is gone is said to be', path: (p) => join(p.allowed, 'x'), gets: 'there is no such file' },
  {
    title: 'an empty file is no value',
    path: (p) => p.put(p.allowed, 'x', 0o600, '\n'),
    gets: 'the value is empty',
  },
  {
    title: 'a value of 16 KiB is read',
    path: (p) => p.put(p.allowed, 'x', 0o600, 'v'.repeat(16_384)),
    gets: 'v'.repeat(16_384),
  },
  {
    title: 'a longer value is refused',
    path: (p) => p.put(p.allowed, 'x', 0o600, 'v'.repeat(16_385)),
    gets: 'the value is longer than 16 KiB',
  },
  {
    title: 'a huge file is refused without being read whole',
    path: (p) => p.put(p.allowed, 'x', 0o600, 'v'.repeat(70_000)),
    gets: 'the file is larger than a value may be',
  },
  {
    title: 'bytes that are no text are refused',
    path(p) {
      const path = p.put(p.allowed, 'x')
      writeFileSync(path, Buffer.from([0x61, 0xff, 0xfe]))
      return path
    },
    gets: 'the value is not valid Unicode text',
  },
]

for (const { title, path, gets } of files)
  test(`file://: ${title} (claims: C33)`, async (t) => {
    const place = folders(t)
    assert.equal(await readIn(place, path(place)), gets)
  })

test('env://: a variable is read only by its exact name in the list (claims: C33 D5)', async () => {
  const secret = (text: string) => new Secret(text)
  const env = makeEnvSource({
    names: ['NETBOX_TOKEN', 'ZABBIX_TOKEN', 'toString'],
    values: { NETBOX_TOKEN: secret('netbox'), HOME: secret('/root') },
  })
  const references = makeReferences({ sources: { env }, now: fixedClock().now })
  const read = (name: string) => answerOf(references.read(`env://${name}`))
  assert.equal(await read('NETBOX_TOKEN'), 'netbox')
  const refused = 'the variable is not among those in ATLAS_REFERENCE_ENV'
  for (const name of ['HOME', 'netbox_token', 'NETBOX_TOKE', 'NETBOX_TOKEN_2', '__proto__', 'constructor'])
    assert.equal(await read(name), `env://${name}: ${refused}`)
  for (const name of ['ZABBIX_TOKEN', 'toString'])
    assert.equal(await read(name), `env://${name}: the variable was not set when Atlas was started`)
})

test('what is not configured is refused, and the setting is named (claims: C33 D25)', async () => {
  const references = makeReferences({ sources: {}, now: fixedClock().now })
  const settings = {
    'env://HOME': 'ATLAS_REFERENCE_ENV',
    'file:///etc/passwd': 'ATLAS_REFERENCE_DIR',
    'vault://secret/a#b': 'ATLAS_REFERENCE_VAULT_URL',
    'awssm://a': 'ATLAS_REFERENCE_AWS_REGION',
  }
  for (const [text, setting] of Object.entries(settings))
    assert.equal(
      await answerOf(references.read(text)),
      `${text}: references of this kind are not allowed here; set ${setting}`,
    )
})
