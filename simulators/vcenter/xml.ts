import type { XmlElement } from '../../src/core/connector.ts'
import type { Ref } from './values.ts'

// Reading a request.

export function child(element: XmlElement | undefined, name: string): XmlElement | undefined {
  return element?.children.find((one) => one.name === name)
}

export function children(element: XmlElement | undefined, name: string): readonly XmlElement[] {
  return element?.children.filter((one) => one.name === name) ?? []
}

export function textIn(element: XmlElement | undefined, name: string): string | undefined {
  return child(element, name)?.text
}

export function isTrue(element: XmlElement | undefined): boolean {
  return element?.text === 'true' || element?.text === '1'
}

export function refIn(element: XmlElement | undefined): Ref {
  return { type: element?.attributes['type'] ?? '', id: element?.text ?? '' }
}
