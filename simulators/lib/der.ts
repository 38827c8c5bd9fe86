/** ASN.1 DER (X.690), as much of it as a certificate needs. Each function answers one encoded value. */
export const der = {
  sequence: (...parts: readonly Buffer[]) => tagged(0x30, Buffer.concat(parts)),
  set: (...parts: readonly Buffer[]) => tagged(0x31, Buffer.concat(parts)),
  /** An unsigned number, big-endian; a leading zero keeps it positive. */
  integer: (bytes: Buffer) => tagged(0x02, (bytes[0] ?? 0) > 0x7f ? Buffer.concat([Buffer.from([0]), bytes]) : bytes),
  bitString: (bytes: Buffer, unusedBits = 0) => tagged(0x03, Buffer.concat([Buffer.from([unusedBits]), bytes])),
  octetString: (bytes: Buffer) => tagged(0x04, bytes),
  boolean: (value: boolean) => tagged(0x01, Buffer.from([value ? 0xff : 0])),
  utf8: (text: string) => tagged(0x0c, Buffer.from(text, 'utf8')),
  oid,
  time,
  /** `[n]` around a value that keeps its own tag. */
  explicit: (n: number, value: Buffer) => tagged(0xa0 | n, value),
  /** `[n]` in place of a primitive value's own tag. */
  implicit: (n: number, bytes: Buffer) => tagged(0x80 | n, bytes),
}

function tagged(tag: number, body: Buffer): Buffer {
  return Buffer.concat([Buffer.from([tag]), length(body.length), body])
}

function length(n: number): Buffer {
  if (n < 0x80) return Buffer.from([n])
  const bytes: number[] = []
  for (let rest = n; rest > 0; rest >>>= 8) bytes.unshift(rest & 0xff)
  return Buffer.from([0x80 | bytes.length, ...bytes])
}

/** The first two arcs share a byte; the others are base 128 with a continuation bit. */
function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number)
  const arcs = [first * 40 + second, ...rest].flatMap((arc) => {
    const groups = [arc & 0x7f]
    for (let left = arc >>> 7; left > 0; left >>>= 7) groups.unshift((left & 0x7f) | 0x80)
    return groups
  })
  return tagged(0x06, Buffer.from(arcs))
}

/** UTCTime until 2049, GeneralizedTime after (RFC 5280 §4.1.2.5). */
function time(at: Date): Buffer {
  const text = at.toISOString().replace(/[-:T]|\.\d+/g, '')
  return at.getUTCFullYear() < 2050 ? tagged(0x17, Buffer.from(text.slice(2))) : tagged(0x18, Buffer.from(text))
}
