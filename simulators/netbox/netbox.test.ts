import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import { request } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { type Netbox, type NetboxOptions, startNetbox } from './start.ts'

// Facts: NetBox REST API 4.6, https://netboxlabs.com/docs/netbox/integrations/rest-api/

// biome-ignore lint/suspicious/noExplicitAny: the tests look into answers of every shape
type Loose = any
type Answer = { status: number; headers: IncomingHttpHeaders; text: string; json: Loose }
type Ask = { method?: string; token?: string; body?: unknown; headers?: Record<string, string> }

let nb: Netbox
before(async () => {
  nb = await startNetbox({ devices: 120, vms: 60, seed: 3 })
})
after(() => nb.stop())

function ask(
  path: string,
  { method = 'GET', token = nb.tokens.v2, body, headers = {} }: Ask = {},
  to: Netbox = nb,
): Promise<Answer> {
  const text = body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body)
  const sent = {
    ...(token && { authorization: `Bearer ${token}` }),
    ...(text !== undefined && {
      'content-type': 'application/json',
      'content-length': String(Buffer.byteLength(text)),
    }),
    ...headers,
  }
  return new Promise((resolve, reject) => {
    const call = request(to.url + path, { method, ca: to.caPem, headers: sent, agent: false }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('error', reject)
      response.on('end', () => {
        const answer = Buffer.concat(chunks).toString('utf8')
        let json: unknown
        try {
          json = JSON.parse(answer)
        } catch {}
        resolve({ status: response.statusCode ?? 0, headers: response.headers, text: answer, json })
      })
    })
    call.on('error', reject)
    call.end(text)
  })
}
const ids = ({ json }: Answer): number[] => json.results.map((row: { id: number }) => row.id)

test("Signing in: failures are 403 with NetBox's sentences, and the scheme word does not matter", async () => {
  const { tokens } = nb
  const cases: readonly (readonly [string | undefined, number, string?])[] = [
    [undefined, 403, 'Authentication credentials were not provided.'],
    ['Basic YTpi', 403, 'Authentication credentials were not provided.'],
    [`Bearer ${tokens.v2}`, 200],
    [`token ${tokens.v2}`, 200],
    [`Token ${tokens.v1}`, 200],
    [`BEARER ${tokens.v1}`, 200],
    [`Bearer ${tokens.readOnly}`, 200],
    ['Token', 403, 'Invalid authorization header: Must be in the form "Bearer <key>.<token>" or "Token <token>"'],
    ['Token a b', 403, 'Invalid authorization header: Must be in the form "Bearer <key>.<token>" or "Token <token>"'],
    [
      'Bearer nbt_nodot',
      403,
      'Invalid authorization header: Could not parse key from v2 token. Did you mean to use "Token" instead of "Bearer"?',
    ],
    [`Token ${'0'.repeat(40)}`, 403, 'Invalid v1 token'],
    ['Bearer nbt_abcdefghijkl.x', 403, 'Invalid v2 token'],
    [`Bearer ${tokens.expired}`, 403, 'Token expired'],
    [`Bearer ${tokens.disabled}`, 403, 'Token disabled'],
    [`Bearer ${tokens.inactive}`, 403, 'User inactive'],
    [`Bearer ${tokens.elsewhere}`, 403, 'Source IP 127.0.0.1 is not permitted to authenticate using this token.'],
  ]
  for (const [authorization, status, detail] of cases) {
    const answer = await ask('/api/authentication-check/', {
      token: '',
      headers: authorization ? { authorization } : {},
    })
    assert.deepEqual([answer.status, answer.json?.detail], [status, detail], String(authorization))
  }
})

test('A token that may not write gets 403 for every write', async () => {
  for (const method of ['POST', 'PATCH', 'DELETE']) {
    const path = method === 'POST' ? '/api/dcim/sites/' : '/api/dcim/sites/1/'
    const answer = await ask(path, { method, token: nb.tokens.readOnly, body: { name: 'x' } })
    assert.deepEqual(
      [answer.status, answer.json],
      [403, { detail: 'You do not have permission to perform this action.' }],
    )
  }
})

test('Status, headers and slashes', async () => {
  const status = await ask('/api/status/')
  assert.equal(status.json['netbox-version'], '4.6.8')
  assert.equal(status.headers['api-version'], '4.6')
  assert.match(String(status.headers['x-request-id']), /^[0-9a-f-]{36}$/)
  const moved = await ask('/api/dcim/sites?limit=1')
  assert.deepEqual([moved.status, moved.headers.location], [301, '/api/dcim/sites/?limit=1'])
  assert.equal((await ask('/api/dcim/sites', { method: 'POST', body: {} })).status, 404)
  assert.equal((await ask('/api/dcim/nothing/')).status, 404)
  assert.equal((await ask('/api/dcim/sites/99999/')).status, 404)
  assert.equal((await ask('/api/dcim/sites/', { method: 'OPTIONS', token: '' })).status, 200)
})

test('Paging: limits, offsets and the cursor', async () => {
  const cases: readonly (readonly [string, number, number | null | undefined, number | undefined])[] = [
    ['', 200, 120, 50],
    ['?limit=7', 200, 120, 7],
    ['?limit=0', 200, 120, 120],
    ['?limit=-3', 200, 120, 50],
    ['?limit=many', 200, 120, 50],
    ['?limit=999999', 200, 120, 120],
    ['?limit=50&offset=110', 200, 120, 10],
    ['?limit=50&offset=5000', 200, 120, 0],
    ['?offset=x', 200, 120, 50],
    ['?start=0&limit=100', 200, null, 100],
    ['?start=101&limit=100', 200, null, 20],
    ['?start=0&offset=1', 400, undefined, undefined],
    ['?start=0&ordering=name', 400, undefined, undefined],
    ['?start=x', 400, undefined, undefined],
  ]
  for (const [query, status, count, rows] of cases) {
    const answer = await ask(`/api/dcim/devices/${query}`)
    assert.deepEqual([answer.status, answer.json.count, answer.json.results?.length], [status, count, rows], query)
  }
  const clipped = await startNetbox({ devices: 30, vms: 0, maxPageSize: 10 })
  assert.equal(ids(await ask('/api/dcim/devices/?limit=0', { token: clipped.tokens.v2 }, clipped)).length, 10)
  await clipped.stop()
})

test('Following next reaches every row once, by offset, by cursor and by id', async () => {
  const wanted = Array.from({ length: 120 }, (_, i) => i + 1)
  for (const query of ['limit=17&ordering=id', 'start=0&limit=17', 'limit=17']) {
    const seen: number[] = []
    let next: string | null = `${nb.url}/api/dcim/devices/?${query}`
    while (next !== null) {
      const page: Answer = await ask(next.slice(nb.url.length))
      seen.push(...ids(page))
      next = page.json.next
    }
    assert.deepEqual(
      seen.toSorted((a, b) => a - b),
      wanted,
      query,
    )
  }
  assert.deepEqual(ids(await ask('/api/dcim/devices/?ordering=id&id__gt=115')), [116, 117, 118, 119, 120])
  assert.deepEqual(ids(await ask('/api/dcim/devices/?ordering=-id&limit=2')), [120, 119])
})

test('Without ordering, devices come by name and not by id', async () => {
  const answer = await ask('/api/dcim/devices/?limit=120')
  const names = answer.json.results.map((row: { name: string | null }) => row.name ?? '\uffff')
  assert.deepEqual(names, names.toSorted())
  assert.notDeepEqual(
    ids(answer),
    ids(answer).toSorted((a, b) => a - b),
  )
})

test('Filters: what is known filters, what is unknown is ignored, what cannot be read is a 400', async () => {
  const one = (await ask('/api/dcim/devices/9/')).json
  const cases: readonly (readonly [string, number | Record<string, string[]>])[] = [
    [`name=${one.name}`, 1],
    [`name__ie=${one.name.toUpperCase()}`, 1],
    [`name=${one.name}&name=nobody`, 1],
    ['name__ic=ESX', 60],
    ['name__isw=ams1-esx', 60],
    ['name__empty=true', 1],
    [`serial=${one.serial}`, 1],
    [`q=${one.primary_ip4.address.split('/')[0]}`, 1],
    ['id=3&id=5', 2],
    ['id__gt=100&id__lte=110', 10],
    ['site=ams1', 120],
    ['site_id=1', 120],
    ['rack_id=2', 24],
    ['role=hypervisor', 60],
    ['role__n=hypervisor', 60],
    ['tag=managed', 18],
    ['nmae=typo', 120],
    ['name__soundslike=x', 120],
    ['last_updated__gte=2100-01-01', 0],
    ['created__lte=2100-01-01', 120],
    ['last_updated__gte=yesterday', { last_updated__gte: ['Enter a valid date/time.'] }],
    ['id__gt=x', { id__gt: ['Enter a number.'] }],
    ['status=gone', { status: ['Select a valid choice. gone is not one of the available choices.'] }],
    ['site=nowhere', { site: ['Select a valid choice. nowhere is not one of the available choices.'] }],
  ]
  for (const [query, expected] of cases) {
    const answer = await ask(`/api/dcim/devices/?${query}`)
    assert.deepEqual(answer.status === 200 ? answer.json.count : answer.json, expected, query)
  }
})

test('The fields of an answer: exclude, omit, brief and fields', async () => {
  const keys = async (query: string) => Object.keys((await ask(`/api/dcim/devices/9/?${query}`)).json)
  assert.ok((await keys('')).includes('config_context'))
  assert.ok(!(await keys('exclude=config_context')).includes('config_context'))
  assert.ok(!(await keys('omit=serial,site')).includes('serial'))
  assert.deepEqual(await keys('brief=true'), ['id', 'url', 'display', 'name', 'description'])
  assert.deepEqual(await keys('fields=id,name&brief=1'), ['id', 'name'])
})

test('A write moves last_updated and the ETag, and is in the changelog under its request id', async () => {
  const read = await ask('/api/dcim/devices/20/')
  const written = await ask('/api/dcim/devices/20/', {
    method: 'PATCH',
    body: { status: 'failed', changelog_message: 'smoke' },
    headers: { 'if-match': String(read.headers.etag) },
  })
  const again = await ask('/api/dcim/devices/20/', {
    method: 'PATCH',
    body: { status: 'active' },
    headers: { 'if-match': String(read.headers.etag) },
  })
  const log = await ask(
    '/api/core/object-changes/?changed_object_type=dcim.device&changed_object_id=20&action=update&ordering=-id&limit=1',
  )

  assert.equal(read.headers.etag, `W/"${read.json.last_updated}"`)
  assert.deepEqual([written.status, written.json.status.value], [200, 'failed'])
  assert.ok(written.json.last_updated > read.json.last_updated)
  assert.deepEqual(
    [again.status, again.json, again.headers.etag],
    [412, { detail: 'Precondition failed.' }, written.headers.etag],
  )
  const [row] = log.json.results
  assert.deepEqual(
    [
      row.request_id,
      row.action,
      row.user_name,
      row.message,
      row.prechange_data.status === 'failed',
      row.postchange_data.status,
    ],
    [written.headers['x-request-id'], { value: 'update', label: 'Updated' }, 'admin', 'smoke', false, 'failed'],
  )
})

test('Writes are checked as NetBox checks them', async () => {
  const cases: readonly (readonly [string, string, unknown, number, unknown])[] = [
    ['PATCH', '/api/dcim/devices/21/', { status: 'gone' }, 400, { status: ['"gone" is not a valid choice.'] }],
    [
      'PATCH',
      '/api/dcim/devices/21/',
      { site: 999 },
      400,
      { site: ['Related object not found using the provided numeric ID: 999'] },
    ],
    [
      'PATCH',
      '/api/dcim/devices/21/',
      '{',
      400,
      { detail: 'JSON parse error - Expecting value: line 1 column 1 (char 0)' },
    ],
    [
      'POST',
      '/api/dcim/devices/',
      { name: 'x' },
      400,
      {
        device_type: ['This field is required.'],
        role: ['This field is required.'],
        site: ['This field is required.'],
      },
    ],
    [
      'POST',
      '/api/extras/journal-entries/',
      { comments: 'x' },
      400,
      { assigned_object_type: ['This field is required.'], assigned_object_id: ['This field is required.'] },
    ],
    ['PUT', '/api/dcim/devices/', {}, 405, { detail: 'Method "PUT" not allowed.' }],
  ]
  for (const [method, path, body, status, expected] of cases) {
    const answer = await ask(path, { method, body })
    assert.deepEqual([answer.status, answer.json], [status, expected], `${method} ${path}`)
  }
  const blocked = await ask('/api/dcim/sites/1/', { method: 'DELETE' })
  assert.equal(blocked.status, 409)
  assert.match(blocked.json.detail, /^Unable to delete object\. \d+ dependent objects were found: /)
})

test('Objects can be created and deleted, and a deletion is seen only in the changelog', async () => {
  const created = await ask('/api/ipam/ip-addresses/', {
    method: 'POST',
    body: { address: '192.0.2.77/24', dns_name: 'new.example.net' },
  })
  const { id } = created.json
  assert.deepEqual(
    [
      created.status,
      created.json.family.value,
      (await ask('/api/ipam/ip-addresses/?address=192.0.2.77/24')).json.count,
    ],
    [201, 4, 1],
  )

  assert.equal((await ask(`/api/ipam/ip-addresses/${id}/`, { method: 'DELETE' })).status, 204)

  assert.equal((await ask(`/api/ipam/ip-addresses/${id}/`)).status, 404)
  const log = await ask(
    `/api/core/object-changes/?action=delete&changed_object_type=ipam.ipaddress&time_after=${created.json.created}`,
  )
  assert.deepEqual(
    log.json.results.map((row: Loose) => [row.changed_object_id, row.changed_object, row.postchange_data]),
    [[id, null, null]],
  )
})

test('The changelog forgets what is older than its retention, and is under extras before 4.1', async () => {
  const old = await startNetbox({ devices: 24, vms: 0, changelogDays: 2, version: '4.0.11' })
  const rows = async () => (await ask('/api/extras/object-changes/', { token: old.tokens.v2 }, old)).json.count
  assert.equal((await ask('/api/core/object-changes/', { token: old.tokens.v2 }, old)).status, 404)
  assert.equal(await rows(), 200)
  old.forward(86_400_000)
  assert.ok((await rows()) < 110)
  old.forward(2 * 86_400_000)
  assert.equal(await rows(), 0)
  assert.equal((await ask('/api/dcim/devices/1/', { token: old.tokens.v2 }, old)).headers.etag, undefined)
  await old.stop()
})

test('Each fault spoils as many requests as planned, and then it is over', async () => {
  const path = '/api/dcim/sites/'
  nb.fault({ kind: '429', count: 2, retryAfter: 3 })
  const busy = [await ask(path), await ask(path), await ask(path)]
  assert.deepEqual(
    busy.map((one) => [one.status, one.headers['retry-after']]),
    [
      [429, '3'],
      [429, '3'],
      [200, undefined],
    ],
  )
  nb.fault({ kind: '503' })
  assert.equal((await ask(path)).status, 503)
  nb.fault({ kind: 'html' })
  assert.match(String((await ask(path)).headers['content-type']), /^text\/html/)
  nb.fault({ kind: 'malformed' })
  assert.equal((await ask(path)).json, undefined)
  nb.fault({ kind: 'reset' })
  await assert.rejects(ask(path), { code: 'ECONNRESET' })
  nb.fault({ kind: 'drop' })
  await assert.rejects(ask(path), { code: 'ECONNRESET' })
  nb.fault({ kind: 'slow', ms: 120 })
  const begun = performance.now()
  await ask(path)
  assert.ok(performance.now() - begun >= 100)
  nb.fault({ kind: 'duplicate-page', path: '/api/dcim/devices/' })
  assert.deepEqual(ids(await ask('/api/dcim/devices/?ordering=id&id__gt=5&limit=2')), [1, 2])
  assert.deepEqual(ids(await ask('/api/dcim/devices/?ordering=id&id__gt=5&limit=2')), [6, 7])
  assert.equal(nb.fault({ kind: 'nonsense' })?.startsWith('kind is one of'), true)
})

test('The switches below /__sim need their own token', async () => {
  const admin = { token: '', headers: { 'x-sim-admin': nb.adminToken } }
  assert.equal((await ask('/__sim/requests')).status, 403)
  const touched = await ask('/__sim/touch?count=5&model=dcim/devices', { ...admin, method: 'POST' })
  assert.equal(touched.json.ids.length, 5)
  assert.equal((await ask('/__sim/nothing', admin)).status, 404)
  assert.equal((await ask('/__sim/faults?kind=429&count=3', { ...admin, method: 'POST' })).json[0].status, 429)
  assert.deepEqual((await ask('/__sim/faults', { ...admin, method: 'DELETE' })).json, [])
  assert.equal((await ask('/__sim/deny?path=core/object-changes', { ...admin, method: 'POST' })).status, 200)
  assert.equal((await ask('/api/core/object-changes/')).status, 403)
  await ask('/__sim/deny?path=core/object-changes&off', { ...admin, method: 'POST' })
  assert.equal((await ask('/api/core/object-changes/')).status, 200)
})

test('The log of requests says what was asked and never with what', async () => {
  nb.requests.splice(0)
  await ask('/api/dcim/sites/?limit=3')
  await ask('/api/dcim/devices/1/', { method: 'PATCH', token: nb.tokens.readOnly, body: {} })
  assert.deepEqual(nb.requests, [
    { method: 'GET', path: '/api/dcim/sites/', query: 'limit=3', status: 200, items: 1 },
    { method: 'PATCH', path: '/api/dcim/devices/1/', query: '', status: 403 },
  ])
})

test('A change is posted to the webhook, signed with HMAC-SHA512 over the raw body', async (t) => {
  const received: { body: string; headers: IncomingHttpHeaders }[] = []
  const target = createServer((message, response) => {
    let body = ''
    message.on('data', (chunk) => {
      body += chunk
    })
    message.on('end', () => {
      received.push({ body, headers: message.headers })
      response.end()
    })
  })
  await new Promise<void>((resolve) => target.listen(0, '127.0.0.1', resolve))
  t.after(() => target.close())
  nb.webhookTo({ url: `http://127.0.0.1:${(target.address() as AddressInfo).port}/hook`, secret: 'between us' })

  const written = await ask('/api/dcim/devices/22/', { method: 'PATCH', body: { comments: 'x' } })
  while (nb.deliveries.length < 1) await new Promise((resolve) => setTimeout(resolve, 5))
  nb.webhookTo(undefined)

  const { body = '', headers } = received[0] ?? {}
  const event = JSON.parse(body)
  assert.equal(headers?.['x-hook-signature'], createHmac('sha512', 'between us').update(body).digest('hex'))
  assert.deepEqual(
    [event.event, event.object_type, event.data.id, event.request.id, event.snapshots.postchange.comments],
    ['updated', 'dcim.device', 22, written.headers['x-request-id'], 'x'],
  )
  assert.deepEqual(nb.deliveries, [{ event: 'updated', object: 'dcim.device 22', status: 200 }])
})

test('The same seed serves the same estate, and everything a row refers to is there', async () => {
  const twin = await startNetbox({ devices: 120, vms: 60, seed: 3 })
  for (const path of [
    'dcim/devices/77/',
    'virtualization/virtual-machines/41/',
    'ipam/ip-addresses/150/',
    'ipam/prefixes/3/',
  ]) {
    const [mine, theirs] = [await ask(`/api/${path}`), await ask(`/api/${path}`, { token: twin.tokens.v2 }, twin)]
    assert.equal(mine.text.replaceAll(nb.url, ''), theirs.text.replaceAll(twin.url, ''))
  }
  const devices = (await ask('/api/dcim/devices/?limit=0', { token: twin.tokens.v2 }, twin)).json.results
  const urls = new Set<string>(
    devices.flatMap((row: Loose) =>
      [row.site, row.rack, row.cluster, row.tenant, row.primary_ip4, row.oob_ip, row.role, row.platform].flatMap(
        (ref) => (ref ? [ref.url] : []),
      ),
    ),
  )
  for (const url of urls)
    assert.equal((await ask(url.slice(twin.url.length), { token: twin.tokens.v2 }, twin)).status, 200, url)
  await twin.stop()
})

test('Collections from a file are served with every filter', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'netbox-data-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const site = {
    id: 4,
    url: '/api/dcim/sites/4/',
    display: 'X',
    name: 'X',
    slug: 'x',
    last_updated: '2020-12-18T03:17:05.204Z',
  }
  writeFileSync(
    join(folder, 'd.json'),
    JSON.stringify({ collections: { 'dcim/sites': [site, { ...site, id: 9, name: 'Y', slug: 'y' }] } }),
  )
  const filed = await startNetbox({ data: join(folder, 'd.json') })
  t.after(filed.stop)

  const answer = await ask('/api/dcim/sites/?name=Y', { token: filed.tokens.v2 }, filed)

  assert.deepEqual(
    [answer.json.count, answer.json.results[0].id, answer.json.results[0].url],
    [1, 9, `${filed.url}/api/dcim/sites/4/`],
  )
})

const demo = new URL('../../../shared/data/netbox-demo.json', import.meta.url).pathname
test("The community's demo estate is served with its counts", {
  skip: existsSync(demo) ? false : 'the demo data is not on this machine',
}, async () => {
  const filed = await startNetbox({ data: demo } satisfies NetboxOptions)
  const counts = {
    'dcim/sites': 24,
    'dcim/racks': 42,
    'dcim/devices': 72,
    'virtualization/virtual-machines': 180,
    'virtualization/clusters': 32,
    'ipam/ip-addresses': 180,
    'ipam/prefixes': 90,
    'tenancy/tenants': 11,
  }
  for (const [path, count] of Object.entries(counts)) {
    assert.equal((await ask(`/api/${path}/?limit=1`, { token: filed.tokens.v2 }, filed)).json.count, count, path)
  }
  await filed.stop()
})
