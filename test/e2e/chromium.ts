import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { type Browser, chromium as playwright } from 'playwright-core'
import { newFolder } from '../../src/testing/server.ts'

/** Why there is no browser for this machine, or undefined. Its package carries a binary for one platform. */
export const unsupported =
  process.platform === 'linux' && process.arch === 'x64'
    ? undefined
    : `@sparticuz/chromium has no browser for ${process.platform}-${process.arch}`

/** Unpacks the browser of the npm package into a folder of its own and starts it; it ends with the test. */
export async function startChromium(t: TestContext): Promise<Browser> {
  const folder = newFolder(t)
  const { executablePath, libraries } = await unpack(folder)
  const browser = await playwright.launch({
    executablePath,
    // Not the package's own list: it switches off the web security that is tested here.
    args: ['--no-sandbox', '--disable-gpu'],
    env: { ...env(folder), ...(libraries !== undefined && { LD_LIBRARY_PATH: libraries }) },
    timeout: 120_000,
  })
  t.after(() => browser.close())
  return browser
}

async function unpack(folder: string): Promise<{ executablePath: string; libraries?: string }> {
  const { default: packed, inflate } = await import('@sparticuz/chromium')
  const temporary = process.env['TMPDIR']
  // The package unpacks to the temporary folder, which other programs share, and takes what already lies there.
  process.env['TMPDIR'] = folder
  try {
    const executablePath = await packed.executablePath()
    // The package's own configuration looks for its font in fixed folders outside this one, and without any font Chromium ends.
    writeFileSync(
      join(folder, 'fonts', 'fonts.conf'),
      `<fontconfig><dir>${join(folder, 'fonts')}</dir><cachedir>${join(folder, 'fonts-cache')}</cachedir></fontconfig>`,
    )
    const fault = await loadFault(executablePath, env(folder))
    if (fault === undefined) return { executablePath }
    // A bare machine lacks nss and its like; the package has them beside the browser.
    const bin = join(dirname(fileURLToPath(import.meta.resolve('@sparticuz/chromium'))), '../bin')
    const libraries = join(await inflate(join(bin, 'al2023.tar.br')), 'lib')
    const still = await loadFault(executablePath, { ...env(folder), LD_LIBRARY_PATH: libraries })
    if (still !== undefined) throw new Error(`Chromium does not start on this machine:\n${still}`)
    return { executablePath, libraries }
  } finally {
    if (temporary === undefined) delete process.env['TMPDIR']
    else process.env['TMPDIR'] = temporary
  }
}

function env(folder: string): Record<string, string> {
  return { HOME: folder, PATH: process.env['PATH'] ?? '', TMPDIR: folder, FONTCONFIG_PATH: join(folder, 'fonts') }
}

async function loadFault(path: string, environment: Record<string, string>): Promise<string | undefined> {
  return promisify(execFile)(path, ['--version', '--no-sandbox'], { env: environment, timeout: 120_000 }).then(
    () => undefined,
    (error: Error & { stderr?: string }) => error.stderr || error.message,
  )
}
