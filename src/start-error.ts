/**
 * The start cannot go on; the message says what to do. Nothing was written that was not there before. `exitCode` 2: the
 * configuration is at fault; 1: something else, which may be gone at the next try.
 */
export class StartError extends Error {
  readonly exitCode: 1 | 2
  constructor(message: string, { exitCode = 2, ...options }: ErrorOptions & { exitCode?: 1 | 2 } = {}) {
    super(message, options)
    this.name = 'StartError'
    this.exitCode = exitCode
  }
}
