// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are shell variables
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'
import { Command } from 'commander'
import type { Client, Json } from './client.ts'
import { complete, completionScript } from './completion.ts'

function program(): Command {
  const atlas = new Command('atlas').version('1').option('--json', 'x')
  const connections = atlas.command('connections')
  connections.command('test <connection>').option('--wait', 'x').option('--mode <mode>', 'x')
  atlas.command('search <words...>').option('-s, --source <connection>', 'x')
  atlas.command('grant <user> <role>')
  atlas.command('hidden', { hidden: true })
  return atlas
}

const items: Record<string, Json[]> = {
  '/connections': [{ name: 'lab' }, { name: '$(touch /tmp/x)' }, { name: 'two words' }, { name: '-x' }, { name: 'ü1' }],
  '/users': [{ username: 'ada' }],
}
const client = () => ({ get: async (path: string) => ({ items: items[path], next: null }) }) as unknown as Client
const noServer = (): Client => {
  throw new Error('not signed in')
}

const cases: [words: string, offered: string[]][] = [
  ['', ['connections', 'search', 'grant', '--version', '--json']],
  ['connections', ['test', '--json']],
  ['connections test', ['lab', 'ü1', '--wait', '--mode', '--json']],
  ['connections test lab', ['--wait', '--mode', '--json']],
  ['connections test --wait', ['lab', 'ü1', '--wait', '--mode', '--json']],
  ['connections test --mode', []],
  ['search web -s', ['lab', 'ü1']],
  ['search web --source lab', ['--source', '--json']],
  ['grant ada', ['viewer', 'developer', 'operator', 'auditor', 'admin', '--json']],
]
test('after words come subcommands, names of things, and options; a name that a shell could run does not', async () => {
  for (const [words, offered] of cases)
    assert.deepEqual(await complete(program(), words.split(' ').filter(Boolean), client), offered, words)
})

test('without a server the options are still completed', async () => {
  assert.deepEqual(await complete(program(), ['search', 'x'], noServer), ['--source', '--json'])
})

test('the bash script offers what the program answers to the words before the cursor', () => {
  const script = [
    'atlas() { printf "%s\\n" "$@" >&2; printf "lab\\nother\\n"; }',
    'exec 2>&1',
    completionScript('bash')?.replace('2>/dev/null', ''),
    'COMP_WORDS=(atlas connections test l); COMP_CWORD=3; _atlas; echo "=${COMPREPLY[*]}"',
  ]
  const said = execFileSync('bash', ['--norc', '-c', script.join('\n')], { encoding: 'utf8' })
  assert.equal(said, 'complete\n--\nconnections\ntest\n=lab\n')
  assert.equal(completionScript('tcsh'), undefined)
})
