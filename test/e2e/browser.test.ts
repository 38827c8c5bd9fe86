import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { Browser, Page, Request } from 'playwright-core'
import { type Atlas, startAtlas } from '../../src/testing/server.ts'
import { startChromium, unsupported } from './chromium.ts'

// The set-up page in a real browser.

const password = 'Vltava otter 83 gravel sings'
const headers: Readonly<Record<string, RegExp>> = {
  'content-security-policy':
    /default-src 'none'.*script-src 'nonce-.*frame-ancestors 'none'.*require-trusted-types-for/,
  'x-content-type-options': /^nosniff$/,
  'x-frame-options': /^DENY$/,
  'referrer-policy': /^no-referrer$/,
  'cross-origin-opener-policy': /^same-origin$/,
  'cross-origin-resource-policy': /^same-origin$/,
  'cache-control': /no-store/,
  'permissions-policy': /camera=\(\)/,
}

test('the set-up page in Chromium', { skip: unsupported }, async (t) => {
  const browser = await startChromium(t)
  const atlas = await startAtlas(t, { env: { ATLAS_API_TOKEN: '' } })
  const link = /http\S+\/setup#\S+/.exec(atlas.output.stdout)?.[0] ?? ''
  const setupToken = link.split('#')[1] ?? ''

  await t.test('comes with every security header, and its policy is at work', async (s) => {
    const { page, seen } = await open(s, browser, link)

    for (const [name, pattern] of Object.entries(headers)) assert.match(seen.headers[name] ?? '', pattern, name)
    const injected = await page.evaluate(`(() => {
      try { document.body.insertAdjacentHTML('beforeend', '<img src=x onerror="window.pwned = true">') } catch (error) { return error.name }
      return 'inserted'
    })()`)
    assert.equal(injected, 'TypeError', 'no text becomes markup')
    await page.evaluate(`new Promise((resolve) => {
      const image = document.createElement('img')
      image.addEventListener('error', resolve)
      image.src = 'https://elsewhere.example/x.png'
      document.body.append(image)
    })`)
    assert.ok(
      (await page.evaluate<string[]>('window.violations')).includes('img-src'),
      'nothing is loaded from elsewhere',
    )
  })

  await t.test('has a label for each field, says when the passwords differ, and then sends nothing', async (s) => {
    const { page, seen } = await open(s, browser, link)

    const labels = await page.evaluate<string[]>(
      `[...document.querySelectorAll('input')].map((input) => [...input.labels].map((label) => label.textContent).join())`,
    )
    const language = await page.evaluate('document.documentElement.lang')
    await fill(page, { again: 'Vltava otter 84 gravel sings' })

    assert.deepEqual([labels, language], [['Name', 'Password', 'Password again'], 'en'])
    await page.getByRole('alert').filter({ hasText: 'The two passwords differ.' }).waitFor()
    assert.deepEqual(posts(seen), [])
    await assertQuiet(page, seen)
  })

  for (const [what, hash, given, says] of [
    ['a wrong link', '#0123456789', {}, /The setup token is wrong, used or out of date/],
    ['no token at all', '', {}, /The link is incomplete/],
    [
      'a weak password',
      `#${setupToken}`,
      { password: 'password-password', again: 'password-password' },
      /too easy to guess/,
    ],
    ['a name that cannot be', `#${setupToken}`, { username: 'two words' }, /username: must start with a letter/],
  ] as const)
    await t.test(`${what} gets a plain sentence, and the form stays`, async (s) => {
      const { page } = await open(s, browser, `${atlas.url}/setup${hash}`)
      if (hash !== '') await fill(page, given)
      const alert = page.getByRole('alert').filter({ hasText: says })
      await alert.waitFor()

      assert.doesNotMatch((await alert.textContent()) ?? '', /[{}<>]|undefined|\bat \//)
      assert.ok(await page.getByRole('button', { name: 'Create administrator' }).isEnabled())
      assert.deepEqual(await page.evaluate('window.violations'), [])
    })

  await t.test(
    'the right link makes the administrator, by keyboard alone, and shows the signed-in state',
    async (s) => {
      const { page, seen } = await open(s, browser, link)
      assert.equal(page.url(), `${atlas.url}/setup`, 'the token is gone from the address bar')

      for (const text of ['ada', password, password]) {
        await page.keyboard.press('Tab')
        await page.keyboard.type(text)
      }
      await page.keyboard.press('Enter')
      await page.getByRole('heading', { name: 'Done' }).waitFor()

      const token = (await page.locator('#token').textContent()) ?? ''
      assert.match(token, /^atl_/)
      assert.equal(await page.locator('form').count(), 0)
      assert.equal(await page.evaluate('document.activeElement.id'), 'done', 'a screen reader hears it')
      const me = await atlas.api<{ name: string }>('GET', '/me', undefined, token)
      assert.equal(me.name, 'ada')
      await assertQuiet(page, seen)
      assertSentOnce(seen, atlas, setupToken)
      assert.deepEqual(
        await page.evaluate('[localStorage.length, sessionStorage.length, document.cookie]'),
        [0, 0, ''],
        'nothing stays in the browser',
      )
    },
  )

  await t.test('the same link a second time says that it is used', async (s) => {
    const { page } = await open(s, browser, link)
    await fill(page, { username: 'eve' })
    await page
      .getByRole('alert')
      .filter({ hasText: /wrong, used or out of date/ })
      .waitFor()
  })
})

type Seen = { headers: Record<string, string>; readonly requests: Request[]; readonly complaints: string[] }

/** A page of a fresh profile at `url`. What it sends and complains about is written down from the start. */
async function open(t: TestContext, browser: Browser, url: string): Promise<{ page: Page; seen: Seen }> {
  const context = await browser.newContext()
  t.after(() => context.close())
  const page = await context.newPage()
  const seen: Seen = { headers: {}, requests: [], complaints: [] }
  page.on('request', (request) => void seen.requests.push(request))
  page.on('pageerror', (error) => void seen.complaints.push(error.message))
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) seen.complaints.push(message.text())
  })
  await page.addInitScript(`
    window.violations = []
    addEventListener('securitypolicyviolation', (event) => window.violations.push(event.effectiveDirective))`)
  const response = await page.goto(url)
  seen.headers = (await response?.allHeaders()) ?? {}
  return { page, seen }
}

async function fill(page: Page, given: { username?: string; password?: string; again?: string }): Promise<void> {
  await page.getByLabel('Name').fill(given.username ?? 'ada')
  await page.getByLabel('Password', { exact: true }).fill(given.password ?? password)
  await page.getByLabel('Password again').fill(given.again ?? password)
  await page.getByRole('button', { name: 'Create administrator' }).click()
}

/** No violation of the page's policy, no error, and no complaint of the browser. */
async function assertQuiet(page: Page, { complaints }: Seen): Promise<void> {
  assert.deepEqual([complaints, await page.evaluate('window.violations')], [[], []])
}

function posts({ requests }: Seen): Request[] {
  return requests.filter((request) => request.method() === 'POST')
}

/** The setup token went to the server in one body, and in no URL and no header; nothing went to anybody else. */
function assertSentOnce(seen: Seen, atlas: Atlas, setupToken: string): void {
  for (const request of seen.requests) {
    const { origin, pathname, search } = new URL(request.url())
    assert.equal(origin, atlas.url)
    assert.ok(!`${pathname}${search}${JSON.stringify(request.headers())}`.includes(setupToken), request.url())
  }
  const bodies = seen.requests.map((request) => request.postData() ?? '').filter((body) => body.includes(setupToken))
  assert.equal(bodies.length, 1)
  assert.ok(!atlas.output.stderr.includes(setupToken))
}
