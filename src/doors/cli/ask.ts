import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline/promises'
import { CliError } from './client.ts'

/**
 * Reads a secret: from a file (`-` is standard input), or asked for on the terminal without echo.
 * Never from the command line, which every user of the machine can read in the process list.
 */
export async function askSecret(label: string, file: string | undefined): Promise<string> {
  if (file !== undefined && file !== '-') return trimmed(label, readFile(file))
  if (file === '-' || !process.stdin.isTTY) return trimmed(label, await readAll(process.stdin))
  return trimmed(label, await prompt(`${label}: `))
}

/** Like `askSecret` for a new password: asked for twice on a terminal, because nobody sees what is typed. */
export async function askNewPassword(label: string, file: string | undefined): Promise<string> {
  const password = await askSecret(label, file)
  if (file !== undefined || !process.stdin.isTTY) return password
  if (password !== (await askSecret('Once more', undefined)))
    throw new CliError('The two are not the same. Try again.', 2)
  return password
}

/** One visible line from the terminal; without one, `option` says how to give it. */
export async function askLine(label: string, option: string): Promise<string> {
  if (!process.stdin.isTTY) throw new CliError(`${label}: give it with ${option}`, 2)
  const lines = createInterface({ input: process.stdin, output: process.stderr })
  try {
    return (await lines.question(`${label}: `)).trim()
  } finally {
    lines.close()
  }
}

/** A text file that a person named. */
export function readFile(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new CliError(`${file} cannot be read (${(error as NodeJS.ErrnoException).code})`, 2)
  }
}

function trimmed(label: string, text: string): string {
  const value = text.replace(/\r?\n$/, '')
  if (value === '') throw new CliError(`${label}: nothing was given. Pipe it in, or name a file.`, 2)
  return value
}

async function readAll(stream: NodeJS.ReadStream): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(Buffer.from(chunk as Buffer))
  return Buffer.concat(chunks).toString('utf8')
}

/** Reads one line with the terminal's echo off. */
function prompt(question: string): Promise<string> {
  const { stdin, stderr } = process
  stderr.write(question)
  stdin.setRawMode(true)
  stdin.resume()
  return new Promise((resolve, reject) => {
    let text = ''
    const done = (): void => {
      stdin.setRawMode(false)
      stdin.pause()
      stdin.off('data', onData)
      stderr.write('\n')
    }
    const onData = (chunk: Buffer): void => {
      for (const character of chunk.toString('utf8')) {
        if (character === '\u0003') {
          done()
          reject(new CliError('Stopped', 1))
          return
        }
        if (character === '\r' || character === '\n') {
          done()
          resolve(text)
          return
        }
        text = character === '\u007f' ? text.slice(0, -1) : text + character
      }
    }
    stdin.on('data', onData)
  })
}
