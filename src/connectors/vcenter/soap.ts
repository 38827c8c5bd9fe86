import { z } from 'zod'
import type { Http, XmlElement } from '../../core/connector.ts'

/** A managed object: `{ type: 'VirtualMachine', id: 'vm-12' }`. */
export type Ref = { readonly type: string; readonly id: string }

/** Markup of a request. Only `el` makes it, so text from outside can never become markup. */
export type Xml = { readonly xml: string }

/** `el('a', 'x<y')` is `<a>x&lt;y</a>`. Names are ours, never a caller's. */
export function el(
  name: string,
  content: string | number | boolean | readonly Xml[],
  attributes: Readonly<Record<string, string>> = {},
): Xml {
  const head = Object.entries(attributes).map(([key, value]) => ` ${key}="${escaped(value)}"`)
  const inner = Array.isArray(content) ? content.map(({ xml }) => xml).join('') : escaped(String(content))
  return { xml: `<${name}${head.join('')}>${inner}</${name}>` }
}

export function refEl(name: string, { type, id }: Ref): Xml {
  return el(name, id, { type })
}

/** Characters that XML 1.0 cannot hold are left out (§2.2). */
function escaped(text: string): string {
  return text
    .toWellFormed()
    .replace(/[^\t\n\r\u0020-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/gu, '')
    .replace(/[&<>"'\r]/g, (char) => `&#${char.charCodeAt(0)};`)
}

/** One method of the vim25 API. A `read` changes nothing in the inventory, so it may be sent again. */
export type Call = { readonly method: string; readonly self: Ref; readonly args?: readonly Xml[] }

/** Calls a method that only reads; answers its `returnval` elements. */
export async function read(http: Http, call: Call): Promise<readonly XmlElement[]> {
  return (await exchange(http, call, true)).values
}

/** Calls a method that changes something: sent once. */
export async function write(http: Http, call: Call): Promise<readonly XmlElement[]> {
  return (await exchange(http, call, false)).values
}

export async function exchange(http: Http, { method, self, args = [] }: Call, safe: boolean) {
  const request = el(method, [refEl('_this', self), ...args], { xmlns: 'urn:vim25' })
  const body = el('soapenv:Envelope', [el('soapenv:Body', [request])], {
    'xmlns:soapenv': 'http://schemas.xmlsoap.org/soap/envelope/',
    'xmlns:xsi': 'http://www.w3.org/2001/XMLSchema-instance',
  })
  const reply = await http.exchange(
    {
      method: 'POST',
      path: '/sdk',
      as: 'xml',
      safe,
      headers: { 'content-type': 'text/xml; charset=utf-8', SOAPAction: '"urn:vim25/6.5"' },
      body: `<?xml version="1.0" encoding="UTF-8"?>${body.xml}`,
    },
    responseOf(method),
  )
  return { values: all(reply.body, 'returnval'), headers: reply.headers }
}

/** The element of the body that answers `method`; anything else is not this API. */
function responseOf(method: string) {
  return z.custom<XmlElement>().transform((envelope, context) => {
    const answer = envelope.name === 'Envelope' ? at(envelope, 'Body', `${method}Response`) : undefined
    if (answer) return answer
    context.addIssue({ code: 'custom', message: 'is not the answer to the call' })
    return z.NEVER
  })
}

/** The children of that name. */
export function all(element: XmlElement | undefined, name: string): readonly XmlElement[] {
  return element?.children.filter((child) => child.name === name) ?? []
}

/** The first child of the first child … of those names. */
export function at(element: XmlElement | undefined, ...names: readonly string[]): XmlElement | undefined {
  let found = element
  for (const name of names) found = found?.children.find((child) => child.name === name)
  return found
}

/** The text there; undefined where there is none. */
export function textAt(element: XmlElement | undefined, ...names: readonly string[]): string | undefined {
  return at(element, ...names)?.text || undefined
}

export function numberAt(element: XmlElement | undefined, ...names: readonly string[]): number | undefined {
  const text = textAt(element, ...names)
  const value = Number(text)
  return text === undefined || !Number.isFinite(value) ? undefined : value
}

export function booleanAt(element: XmlElement | undefined, ...names: readonly string[]): boolean | undefined {
  const text = textAt(element, ...names)
  return text === 'true' || text === '1' ? true : text === 'false' || text === '0' ? false : undefined
}

/** ISO 8601 in UTC. */
export function timeAt(element: XmlElement | undefined, ...names: readonly string[]): string | undefined {
  const date = new Date(textAt(element, ...names) ?? Number.NaN)
  return Number.isNaN(date.getTime()) ? undefined : date.toISOString()
}
