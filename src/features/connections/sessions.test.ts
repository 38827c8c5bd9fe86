import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Connector, Http, Session } from '../../core/connector.ts'
import { Secret } from '../../core/secret.ts'
import { makeSessions, type SigningIn } from './sessions.ts'

/** Signs in at `url`; the test answers each sign-in when it wants to. */
function room() {
  const open = new Map<string, (session: Session | Error) => void>()
  const connector = {
    id: 'toy',
    signIn: ({ config }: { config: { url: string } }) =>
      new Promise<Session>((resolve, reject) =>
        open.set(config.url, (answer) => (answer instanceof Error ? reject(answer) : resolve(answer))),
      ),
  } as unknown as Connector
  const sessions = makeSessions({
    vault: { fingerprint: (value) => value.reveal(), hide: () => {} },
    now: () => new Date(0),
  })
  const signing = (url: string, token: string): SigningIn => ({
    id: 'con_1',
    connector,
    config: { url },
    credential: { token: new Secret(token) },
    http: {} as Http,
    keep: async () => {},
  })
  const answer = async (url: string, session: Session | Error) => {
    while (!open.has(url)) await new Promise(setImmediate)
    open.get(url)?.(session)
    open.delete(url)
  }
  return { sessions, signing, answer }
}

const sessionOf = (value: string, renewed?: string): Session => ({
  values: { session: new Secret(value) },
  ...(renewed !== undefined && { credential: { token: new Secret(renewed) } }),
})

test("a sign-in that ends after its connection was moved does not hand out the other place's session", async () => {
  const { sessions, signing, answer } = room()
  const older = sessions.get(signing('https://old.example.org', 'old'))
  const newer = sessions.get(signing('https://new.example.org', 'new'))
  await answer('https://new.example.org', sessionOf('of the new place'))
  await newer
  await answer('https://old.example.org', sessionOf('of the old place', 'old, renewed'))
  await older

  const again = sessions.get(signing('https://old.example.org', 'old, renewed'))
  await answer('https://old.example.org', sessionOf('of the old place, again'))

  assert.equal((await again).session.values['session']?.reveal(), 'of the old place, again')
})

test('a sign-in that fails after its connection was moved leaves the new session', async () => {
  const { sessions, signing, answer } = room()
  const older = sessions.get(signing('https://old.example.org', 'old'))
  const newer = sessions.get(signing('https://new.example.org', 'new'))
  await answer('https://new.example.org', sessionOf('of the new place'))
  await newer
  await answer('https://old.example.org', new Error('too late'))
  await assert.rejects(older)

  assert.equal(sessions.isOpen('con_1'), true)
})
