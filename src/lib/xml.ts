import { SaxesParser } from 'saxes'
import type { XmlElement } from '../core/connector.ts'

/** Not well-formed, or more than data needs: document types, deep nesting. */
export class XmlFault extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'XmlFault'
  }
}

const deepest = 64
/** Elements and attributes. An element is four bytes on the wire and two hundred in memory. */
const most = 1_000_000

type Open = { name: string; attributes: Record<string, string>; text: string; children: XmlElement[] }

/**
 * XML as data: local names, attributes by local name, text trimmed. Document types are refused, so there are no entities but
 * the five of XML itself; nothing outside the text is ever read. @throws XmlFault
 */
export function parseXml(text: string): XmlElement {
  const stack: Open[] = []
  let root: XmlElement | undefined
  const parser = new SaxesParser({ xmlns: false, position: false })
  let count = 0
  const countOne = () => {
    if (++count > most) throw new XmlFault('has too many elements')
  }
  parser.on('opentagstart', countOne)
  parser.on('attribute', countOne)
  parser.on('error', (error) => {
    throw new XmlFault(error.message.slice(0, 200))
  })
  parser.on('doctype', () => {
    throw new XmlFault('has a document type')
  })
  parser.on('opentag', ({ name, attributes }) => {
    if (stack.length >= deepest) throw new XmlFault('is nested too deeply')
    const plain = Object.entries(attributes).filter(([key]) => !/^xmlns(:|$)/.test(key))
    stack.push({
      name: local(name),
      attributes: Object.fromEntries(plain.map(([key, value]) => [local(key), value])),
      text: '',
      children: [],
    })
  })
  const add = (words: string) => {
    const open = stack.at(-1)
    if (open) open.text += words
  }
  parser.on('text', add)
  parser.on('cdata', add)
  parser.on('closetag', () => {
    const open = stack.pop()
    if (!open) return
    const element = { ...open, text: open.text.trim() }
    const parent = stack.at(-1)
    if (parent) parent.children.push(element)
    else root = element
  })
  parser.write(text).close()
  if (!root) throw new XmlFault('has no element')
  return root
}

function local(name: string): string {
  return name.slice(name.indexOf(':') + 1)
}
