import type { Model } from './estate-words.ts'
import type { Dice } from './random.ts'

// What a machine is told apart by, made from its index.

/** Unique per index: multiplication by an odd number permutes the 32-bit numbers. */
export function serialOf({ serialPrefix, serialLength }: Model, index: number): string {
  const scrambled = Math.imul(index + 1, 0x9e3779b1) >>> 0
  const digits = serialLength - serialPrefix.length
  return serialPrefix + scrambled.toString(36).toUpperCase().padStart(7, '0').padStart(digits, '3')
}

/** Always the same for a machine; `kind` 0 is a device, 1 a virtual machine. */
export function uuidOf(dice: Dice, index: number, kind: number): string {
  const hex = [0, 1, 2, 3]
    .map((word) =>
      dice
        .whole(6 + kind * 100, index, word)
        .toString(16)
        .padStart(8, '0'),
    )
    .join('')
  // Version 4, variant 10 (RFC 9562 §5.4); a virtual machine's begins with 42, as ESXi makes them.
  const head = kind === 1 ? `42${hex.slice(2, 8)}` : hex.slice(0, 8)
  return `${head}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20)}`
}

/** `oui` and 24 bits of the number. */
export function macOf(oui: string, number: number): string {
  const hex = number.toString(16).padStart(6, '0')
  return `${oui}:${hex.slice(0, 2)}:${hex.slice(2, 4)}:${hex.slice(4, 6)}`
}

/** An IPv4 address from its 32 bits. */
export function dotted(value: number): string {
  return [24, 16, 8, 0].map((shift) => (value >>> shift) & 0xff).join('.')
}

/** `07` */
export function two(n: number): string {
  return String(n).padStart(2, '0')
}

/** `007` */
export function three(n: number): string {
  return String(n).padStart(3, '0')
}
