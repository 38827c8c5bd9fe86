// A strict reader of RFC 5424 messages in the octet-counted frames of RFC 5425, byte by byte from the ABNF of both; it shares nothing with
// what it checks. Anything outside the grammar is an error, also where receivers usually look away.

export type SyslogMessage = {
  readonly facility: number
  readonly severity: number
  readonly timestamp: string | undefined
  readonly hostname: string | undefined
  readonly appName: string | undefined
  readonly procId: string | undefined
  readonly msgId: string | undefined
  /** SD-ID → parameters; a name may come more than once, so they are pairs. */
  readonly data: ReadonlyMap<string, readonly (readonly [name: string, value: string])[]>
  /** The text without its byte order mark. */
  readonly text: string
}

export class SyslogError extends Error {}

/** Takes whole frames off the front of `bytes`: `MSG-LEN SP SYSLOG-MSG`. What is not yet whole stays. */
export function readFrames(bytes: Buffer): { messages: SyslogMessage[]; rest: Buffer } {
  const messages: SyslogMessage[] = []
  let at = 0
  for (;;) {
    const space = bytes.indexOf(0x20, at)
    const digits = bytes.toString('latin1', at, space < 0 ? Math.min(bytes.length, at + 8) : space)
    if (digits !== '' && !/^[1-9][0-9]{0,6}$/.test(digits))
      throw new SyslogError(`not a length: ${digits.slice(0, 20)}`)
    const end = space + 1 + Number(digits)
    if (space < 0 || end > bytes.length) return { messages, rest: Buffer.from(bytes.subarray(at)) }
    if (digits === '') throw new SyslogError('a frame without a length')
    messages.push(parseMessage(bytes.subarray(space + 1, end)))
    at = end
  }
}

/** One SYSLOG-MSG, all of it. */
export function parseMessage(bytes: Buffer): SyslogMessage {
  const reader = makeReader(bytes)
  reader.expect('<')
  const priority = reader.digits(1, 3)
  if (priority > 191) throw new SyslogError('PRIVAL is above 191')
  reader.expect('>')
  if (reader.digits(1, 3) !== 1) throw new SyslogError('VERSION is not 1')
  reader.expect(' ')
  const timestamp = checkTime(reader.field(32))
  const [hostname, appName, procId, msgId] = [255, 48, 128, 32].map((longest) => reader.field(longest))
  const data = readData(reader)
  const text = reader.isEnd() ? '' : readText(reader)
  return { facility: priority >> 3, severity: priority & 7, timestamp, hostname, appName, procId, msgId, data, text }
}

type Reader = ReturnType<typeof makeReader>

function makeReader(bytes: Buffer) {
  let at = 0
  const peek = () => String.fromCharCode(bytes[at] ?? 0)
  return {
    peek,
    isEnd: () => at === bytes.length,
    expect(char: string): void {
      if (at >= bytes.length || peek() !== char) throw new SyslogError(`octet ${at}: expected ${JSON.stringify(char)}`)
      at += 1
    },
    digits(fewest: number, most: number): number {
      const start = at
      while (at - start < most && /[0-9]/.test(peek())) at += 1
      if (at - start < fewest) throw new SyslogError(`octet ${at}: expected a digit`)
      return Number(bytes.toString('latin1', start, at))
    },
    /** NILVALUE or PRINTUSASCII, and the space behind it. */
    field(longest: number): string | undefined {
      const start = at
      while (at < bytes.length && /[\x21-\x7e]/.test(peek())) at += 1
      const text = bytes.toString('latin1', start, at)
      if (text === '' || text.length > longest)
        throw new SyslogError(`octet ${start}: a field of ${text.length} octets`)
      this.expect(' ')
      return text === '-' ? undefined : text
    },
    /** SD-NAME: up to 32 of PRINTUSASCII but `=`, space, `]` and `"`. */
    name(): string {
      const start = at
      while (at < bytes.length && /[\x21-\x7e]/.test(peek()) && !/[=\]"]/.test(peek())) at += 1
      if (at === start || at - start > 32) throw new SyslogError(`octet ${start}: not an SD-NAME`)
      return bytes.toString('latin1', start, at)
    },
    /** PARAM-VALUE between its quotes; `"`, `\` and `]` must be escaped, and a backslash before anything else stands for itself. */
    value(): string {
      this.expect('"')
      const octets: number[] = []
      for (;;) {
        const octet = bytes[at++]
        if (octet === undefined) throw new SyslogError('PARAM-VALUE does not end')
        if (octet === 0x22) return utf8(Buffer.from(octets))
        if (octet === 0x5d) throw new SyslogError(`octet ${at - 1}: ] is not escaped`)
        const next = bytes[at]
        const isEscape = octet === 0x5c && (next === 0x22 || next === 0x5c || next === 0x5d)
        octets.push(isEscape ? next : octet)
        if (isEscape) at += 1
      }
    },
    rest(): Buffer {
      const start = at
      at = bytes.length
      return bytes.subarray(start)
    },
  }
}

function readData(reader: Reader): SyslogMessage['data'] {
  const data = new Map<string, (readonly [string, string])[]>()
  if (reader.peek() === '-') {
    reader.expect('-')
    return data
  }
  do {
    reader.expect('[')
    const id = reader.name()
    if (data.has(id)) throw new SyslogError(`the SD-ID ${id} comes twice`)
    // §6.3.2: either a name that is registered, or name@<private enterprise number>.
    if (!/^[^@]+@[1-9][0-9]*(\.[0-9]+)*$/.test(id)) throw new SyslogError(`the SD-ID ${id} belongs to nobody`)
    const parameters: (readonly [string, string])[] = []
    data.set(id, parameters)
    while (reader.peek() === ' ') {
      reader.expect(' ')
      const name = reader.name()
      reader.expect('=')
      parameters.push([name, reader.value()])
    }
    reader.expect(']')
  } while (reader.peek() === '[')
  return data
}

/** The text must say that it is UTF-8, and be it. */
function readText(reader: Reader): string {
  reader.expect(' ')
  const bytes = reader.rest()
  if (bytes.length === 0) return ''
  if (!bytes.subarray(0, 3).equals(Buffer.from([0xef, 0xbb, 0xbf]))) throw new SyslogError('MSG has no byte order mark')
  return utf8(bytes.subarray(3))
}

function utf8(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    throw new SyslogError('not UTF-8')
  }
}

function checkTime(text: string | undefined): string | undefined {
  if (text === undefined) return undefined
  const match =
    /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(\.\d{1,6})?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$/.exec(text) ?? undefined
  const [year, month, day, hour, minute, second] = (match ?? []).slice(1, 7).map(Number)
  // RFC 5424 §6.2.3.1: no leap seconds.
  const isTime = (hour ?? 99) <= 23 && (minute ?? 99) <= 59 && (second ?? 99) <= 59
  const days = new Date(Date.UTC(year ?? 0, month ?? 0, 0)).getUTCDate()
  const isDay = (month ?? 0) >= 1 && (month ?? 99) <= 12 && (day ?? 0) >= 1 && (day ?? 99) <= days
  if (!match || !isTime || !isDay) throw new SyslogError(`not a TIMESTAMP: ${text}`)
  return text
}
