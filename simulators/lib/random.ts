/**
 * Numbers that depend only on the seed and the keys, so that row 90,000 can be made without the rows before it.
 * `whole(...keys)` is 32 bits, `part(...keys)` is in [0, 1), `pick` takes one of a list.
 */
export function makeDice(seed: number) {
  const whole = (a: number, b = 0, c = 0): number => {
    let h = mix(seed ^ 0x9e3779b9)
    h = mix(h ^ a)
    h = mix(h + Math.imul(b, 0x85ebca6b))
    return mix(h ^ Math.imul(c + 1, 0xc2b2ae35))
  }
  const part = (a: number, b = 0, c = 0) => whole(a, b, c) / 0x1_0000_0000
  return {
    whole,
    part,
    pick: <T>(list: readonly T[], a: number, b = 0, c = 0): T => list[whole(a, b, c) % list.length] as T,
  }
}

export type Dice = ReturnType<typeof makeDice>

/** The 32-bit finaliser of MurmurHash3 (public domain): every input bit reaches every output bit. */
function mix(value: number): number {
  let h = value | 0
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}
