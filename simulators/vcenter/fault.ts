/** A vim25 fault: HTTP 500 with its name twice, as vCenter sends it. */
export class VimFault extends Error {
  readonly type: string
  /** XML inside the detail. */
  readonly inner: string
  constructor(type: string, message = '', inner = '') {
    super(message)
    this.type = type
    this.inner = inner
  }
}

export function invalid(property: string): VimFault {
  return new VimFault('InvalidArgument', `A specified parameter was not correct: ${property}`)
}
