/** What the file system refused, for the person who named the file; undefined when `error` is something else. */
export function explainFile(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined
  const { code = '', syscall = '', path } = error as NodeJS.ErrnoException
  const why = reasons[code]
  if (why === undefined || !calls.has(syscall)) return undefined
  return `${path ?? 'The file'} ${why} (${code})`
}

const reasons: Readonly<Record<string, string>> = {
  ENOENT: 'does not exist, or its folder does not',
  ENOTDIR: 'does not exist: a part of its path is no folder',
  EACCES: 'may not be used by this user; look at its owner and mode',
  EPERM: 'may not be used by this user; look at its owner and mode',
  EISDIR: 'is a folder; name a file',
  EEXIST: 'exists already',
  EROFS: 'is on a disk that cannot be written',
  ENOSPC: 'could not be written: the disk is full',
}

// Only calls about files: the network's own failures are explained elsewhere.
const calls: ReadonlySet<string> = new Set(['open', 'read', 'write', 'mkdir', 'scandir', 'stat', 'lstat', 'rename'])
