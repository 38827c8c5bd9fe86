import assert from 'node:assert/strict'
import { chmodSync, existsSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { startNetbox } from '../../../simulators/netbox/start.ts'
import { runAtlas, startAtlas } from '../../testing/server.ts'

// The command line as a newcomer meets it: the real program against a real server.

const password = 'purple lamp quickly eats gravel'
const other = 'orange boat slowly reads maps'

const atlas = await startAtlas(test)
const netbox = await startNetbox({ seed: 1, devices: 3, vms: 0 })
test.after(netbox.stop)
const file = (name: string, text: string) => {
  const path = join(atlas.folder, name)
  writeFileSync(path, text, { mode: 0o600 })
  return path
}
const passwordFile = file('password', password)

/** Runs a command line and answers what it said; fails unless it ends with `code`. */
async function say(
  line: string,
  { code = 0, as = {}, input = '' }: { code?: number; as?: Record<string, string>; input?: string } = {},
) {
  const ended = await atlas.cli(line.split(' '), { env: as, input })
  assert.equal(ended.code, code, `${line}\n${ended.stdout}${ended.stderr}`)
  return ended
}
const stored = { ATLAS_TOKEN: '' }
const tokenOf = ({ stdout }: { stdout: string }) => stdout.split('\n')[0] ?? ''

test('the start says how to go on, and setup takes the whole link that it printed', async () => {
  const { stdout } = atlas.output
  const [, link = ''] = /^ {2}(http\S+#\S+)$/m.exec(stdout) ?? []
  assert.match(stdout, new RegExp(`export ATLAS_URL=${atlas.url}$`, 'm'))
  const linkFile = file('link', `${link}\n`)

  // No address is configured here: it is in the link.
  const {
    code,
    stdout: said,
    stderr,
  } = await runAtlas(['setup', '-u', 'ada', '--setup-token-file', linkFile, '--password-file', passwordFile], {
    folder: atlas.folder,
  })

  assert.equal(code, 0, stderr)
  assert.match(
    said,
    new RegExp(`ada is the first administrator, and signed in\nFor the next commands: export ATLAS_URL=${atlas.url}`),
  )
  assert.match((await say('whoami', { as: stored })).stdout, /^roles +admin on everything$/m)
})

test('an agent needs a role and a scope that exists; its token comes with what an MCP client needs', async () => {
  await atlas.api('POST', '/connections', {
    connector: 'netbox',
    name: 'lab',
    config: { url: netbox.url },
    credential: { token: netbox.tokens.readOnly },
    caCertificate: netbox.caPem,
  })

  const refusals: [string, number, RegExp][] = [
    ['tokens create x --agent', 2, /without a role may do nothing.*--role viewer/],
    ['tokens create x --scope connection/lab', 2, /needs --role/],
    ['tokens create x --agent --role vewer', 2, /^role: .*viewer/],
    ['tokens create x --agent --role viewer --scope connection/nope', 1, /There is no such connection/],
    ['tokens create x --only invntory.*', 2, /^scopes: there is no area invntory/],
    ['tokens create x --days soon', 2, /--days takes a whole number/],
  ]
  for (const [line, code, says] of refusals) assert.match((await say(line, { code })).stderr, says, line)
  assert.match((await say('agents list')).stdout, /^No agents yet/)

  const made = await say('tokens create claude --agent --role viewer --scope connection/lab')
  const token = tokenOf(made)
  const [, agent] = /agent claude \((agt_\w+)\); roles: viewer on connection\/con_/.exec(made.stdout) ?? []
  const config = JSON.parse(made.stdout.slice(made.stdout.indexOf('{'), made.stdout.lastIndexOf('}') + 1))
  assert.deepEqual(config.mcpServers.atlas, {
    type: 'http',
    url: `${atlas.url}/mcp`,
    headers: { Authorization: `Bearer ${token}` },
  })
  assert.match(made.stdout, new RegExp(`curl -sS ${atlas.url}/api/v1/me -H "Authorization: Bearer ${token}"`))
  assert.equal((await atlas.ask<{ id: string }>('GET', '/api/v1/me', { token })).body.id, agent)
})

test('a token without --agent is said to be one of your own rights', async () => {
  const { stdout } = await say('tokens create laptop', { as: stored })
  assert.match(stdout, /a token of your own \(ada\): who has it may do what you may \(admin on everything\)/)
})

test('names do instead of ids, and one that is not unique is not guessed', async () => {
  await say(`users add bob --role auditor --password-file ${passwordFile}`)
  assert.match((await say('users disable BOB')).stdout, /^bob is disabled/)
  assert.match((await say('users enable bob')).stdout, /^bob is enabled/)
  assert.match((await say('users disable nobody', { code: 1 })).stderr, /There is no user or agent “nobody”/)
  await say('users disable claude')
  await say('users enable claude')
  await say('secrets put tls key', { code: 2 })
  await say('secrets put spare', { input: 'x' })
  assert.match((await say('secrets show spare')).stdout, /^name +spare$/m)
  await say('sync lab')
  const { items } = await atlas.api<{ items: { id: string; name: string }[] }>('GET', '/assets?kind=device&limit=1')
  assert.match((await say(`assets show ${items[0]?.name}`)).stdout, new RegExp(`^id +${items[0]?.id}$`, 'm'))
  assert.match((await say('assets show nothing-like-this', { code: 1 })).stderr, /There is no asset/)
  const today = new Date().toISOString().slice(0, 10)
  const events = await say(`audit events --principal ada --from ${today}`)
  assert.match(events.stdout, /setup\.completed/)
  assert.match((await say('audit events --from yesterday', { code: 2 })).stderr, /write it as 2026-11-01/)
  await say('policy explain inventory.assets.search --principal bob')

  for (const _ of [1, 2]) await say('tokens create twin --agent --role viewer')
  assert.match(
    (await say('users disable twin', { code: 1 })).stderr,
    /more than one.*give the id:\n( {2}agt_\w+.*\n){2}/,
  )
})

test('a token that may look nothing up says what is wrong', async () => {
  const viewer = tokenOf(await say('tokens create watcher --agent --role viewer'))
  const { stderr } = await say('users disable ada', { code: 1, as: { ATLAS_TOKEN: viewer } })
  assert.match(stderr, /Policy does not permit this/)
})

test('doctor says for each check whether it holds, also to who may not see everything', async (t) => {
  const viewer = tokenOf(await say('tokens create doc --agent --role viewer'))
  const lines = async (as: Record<string, string>, code = 0) =>
    (await say('doctor', { as, code })).stdout
      .trim()
      .split('\n')
      .map((line) => line.replace(/ {2}.*/, ''))

  assert.deepEqual(await lines({}), [
    '✔ configuration',
    '✔ data',
    '! root key',
    '✔ server',
    '✔ clock',
    '✔ version',
    '! token',
    '✔ audit log',
    '✔ audit witnesses',
    '✔ audit sinks',
    '✔ secrets',
    '! backups',
    '✔ incident',
    '✔ connection lab',
  ])
  assert.deepEqual((await lines({ ATLAS_TOKEN: viewer })).slice(6), [
    '✔ token',
    '! audit log',
    '! audit witnesses',
    '! audit sinks',
    '! secrets',
    '! backups',
    '! incident',
    '✔ connection lab',
  ])
  assert.deepEqual((await lines({ ATLAS_TOKEN: 'atl_wrong' }, 1)).at(-1), '✖ token')
  assert.deepEqual((await lines({ ATLAS_URL: 'http://127.0.0.1:9' }, 1)).slice(3), ['✖ server'])
  assert.deepEqual((await lines({ ATLAS_PROT: '1' }, 1))[0], '✖ configuration')
  chmodSync(atlas.dataDir, 0o755)
  t.after(() => chmodSync(atlas.dataDir, 0o700))
  assert.deepEqual((await lines({}, 1))[1], '✖ data')
})

test('a person changes their password and signs out, here and on the server', async () => {
  const next = file('next', other)
  const wrong = file('wrong', 'something else entirely')
  await say(`login -u bob --password-file ${passwordFile}`, { as: stored })
  await say(`password --current-file ${wrong} --password-file ${next}`, { code: 1, as: stored })
  await say(`password --current-file ${passwordFile} --password-file ${next}`, { as: stored })
  await say(`login -u bob --password-file ${passwordFile}`, { code: 1, as: stored })
  await say(`login -u bob --password-file ${next}`, { as: stored })
  const tokens = join(atlas.folder, '.config/atlas/tokens')
  const kept = join(tokens, encodeURIComponent(atlas.url))
  const { items } = await atlas.api<{ items: { principalName: string; state: string }[] }>('GET', '/tokens')
  const alive = (rows: typeof items) =>
    rows.filter(({ principalName, state }) => principalName === 'bob' && state === 'active')
  assert.ok(existsSync(kept), readdirSync(tokens).join())
  assert.equal(alive(items).length, 2)

  await say('logout', { as: stored })

  assert.ok(!existsSync(kept))
  assert.equal(alive((await atlas.api<{ items: typeof items }>('GET', '/tokens')).items).length, 1)
  assert.match((await say('logout', { as: stored })).stdout, /^Nobody is signed in/)
})

test('a connection is added and not connected, and a certificate that is not trusted comes with the way out', async (t) => {
  const far = await startNetbox({ seed: 2, devices: 2, vms: 0 })
  t.after(far.stop)
  const token = file('netbox-token', far.tokens.readOnly)
  const added = await say(`connections add netbox --name far --url ${far.url} --credential-file token=${token}`)
  assert.match(added.stdout, /^far is added \(con_\w+\); nothing was sent to it yet\./)

  assert.match((await say('connections test far', { code: 1 })).stderr, /atlas connections edit far --ca-file ca\.pem/)
  assert.match(
    (await say('connections edit far --ca-file nowhere.pem', { code: 2 })).stderr,
    /nowhere\.pem cannot be read \(ENOENT\)/,
  )
  const ca = file('ca.pem', far.caPem)
  await say(`connections edit far --ca-file ${ca} --credential-file token=${token}`)
  await say('connections test far')
  await say('connections remove far --yes')
})
