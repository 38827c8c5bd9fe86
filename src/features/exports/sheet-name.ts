const longest = 31

/** A name for the tab: at most 31 characters, none of `[]:*?/\'`, and unlike every other in any letter case. */
export function sheetName(name: string, taken: readonly string[]): string {
  const plain = name.replaceAll(/[[\]:*?/\\'\p{Cc}\p{Cs}]+/gu, ' ').trim() || 'Sheet'
  for (let part = 1; ; part++) {
    const ending = part === 1 ? '' : ` ${part}`
    const full = `${cut(plain, longest - ending.length)}${ending}`
    if (!isTaken(full, taken)) return full
  }
}

function isTaken(name: string, taken: readonly string[]): boolean {
  // Spreadsheets keep this name for themselves.
  return [...taken, 'History'].some((other) => other.toLowerCase() === name.toLowerCase())
}

/** Never half a character. */
function cut(text: string, length: number): string {
  return text
    .slice(0, length)
    .replace(/\p{Cs}$/u, '')
    .trim()
}
