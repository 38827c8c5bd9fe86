import type { Secret } from '../../core/secret.ts'
import { commonWords } from './common-words.ts'
import { typed } from './reveal.ts'

const least = 15
const most = 128
const leastPieces = 10

/**
 * Why a new password is refused, as a sentence for the person; undefined when it is good (NIST SP 800-63B-4 §3.1.1.2).
 * Length counts, not kinds of characters. `context` are words that an attacker would try first: the user's own names.
 */
export function passwordFault(password: Secret, context: readonly string[] = []): string | undefined {
  const text = typed(password).normalize('NFKC')
  const length = [...text].length
  if (!text.isWellFormed()) return 'must be valid Unicode text'
  if (length < least) return `must have at least ${least} characters; a few unrelated words do well`
  if (length > most) return `must have at most ${most} characters`
  if (pieces(text, context) < leastPieces)
    return 'is too easy to guess: it is made of common words, names, repeats or sequences'
  return undefined
}

/**
 * Why a text is too weak to be an API token, as a sentence; undefined when it looks like 128 random bits or more.
 * Nothing can prove randomness; this refuses what is plainly not random.
 */
export function tokenTextFault(text: string): string | undefined {
  if (!/^[\x21-\x7e]+$/.test(text)) return 'must be printable ASCII without spaces'
  if (text.length > 256) return 'must have at most 256 characters'
  const wordsOnly = !/[0-9]/.test(text) && !(/[a-z]/.test(text) && /[A-Z]/.test(text))
  const bits = text.length * Math.log2(alphabetSize(text))
  const random = !wordsOnly && new Set(text).size >= 8 && pieces(text, []) >= 0.7 * text.length
  if (text.length < 22 || bits < 128 || !random)
    return 'is too weak: it must hold at least 128 random bits, for example the output of `openssl rand -base64 32`'
  return undefined
}

function alphabetSize(text: string): number {
  if (/^[0-9]+$/.test(text)) return 10
  if (/^([0-9a-f]+|[0-9A-F]+)$/.test(text)) return 16
  if (/^([0-9a-z]+|[0-9A-Z]+)$/.test(text)) return 32
  return 62
}

/**
 * How many guesses-worth of pieces a text has: a common word, a repeat of an earlier part, a run (`aaaa`, `4321`, `qwer`)
 * or a year is one piece, any other character is one. The least over all ways to cut the text.
 */
function pieces(text: string, context: readonly string[]): number {
  const lower = text.toLowerCase()
  const spellings = [lower, unleet(lower, 'i'), unleet(lower, 'l')]
  const words = new Set(context.flatMap(wordsOf))
  const least = [0]
  for (let end = 1; end <= lower.length; end++) {
    let best = (least[end - 1] ?? 0) + 1
    for (let start = end - 3; start >= 0; start--) {
      const cost = (least[start] ?? 0) + 1
      if (cost >= best) continue
      const isWord = spellings.some((s) => isCommon(s.slice(start, end), words))
      if (isWord || isPattern(lower.slice(start, end), lower.slice(0, start))) best = cost
    }
    least.push(best)
  }
  return least.at(-1) ?? 0
}

function isCommon(piece: string, words: ReadonlySet<string>): boolean {
  return words.has(piece) || commonWords.has(piece)
}

const rows = [
  'qwertyuiop',
  'qwertzuiop',
  'azertyuiop',
  'asdfghjkl',
  'zxcvbnm',
  'yxcvbnm',
  '1234567890',
  'qazwsxedcrfvtgbyhnujmikolp',
  '1qaz2wsx3edc4rfv5tgb6yhn',
]
const patterns = rows.flatMap((row) => [row, [...row].reverse().join('')])

function isPattern(piece: string, before: string): boolean {
  if (/^(19|20)\d\d$/.test(piece)) return true
  if (piece.length >= 4 && before.includes(piece)) return true
  if (patterns.some((row) => row.includes(piece))) return true
  const step = piece.charCodeAt(1) - piece.charCodeAt(0)
  if (Math.abs(step) > 1) return false
  for (let i = 2; i < piece.length; i++) if (piece.charCodeAt(i) - piece.charCodeAt(i - 1) !== step) return false
  return true
}

const leet: Readonly<Record<string, string>> = {
  '0': 'o',
  '3': 'e',
  '4': 'a',
  '@': 'a',
  '5': 's',
  $: 's',
  '7': 't',
  '8': 'b',
  '9': 'g',
  '2': 'z',
}

function unleet(text: string, one: 'i' | 'l'): string {
  return [...text].map((c) => (c === '1' || c === '!' || c === '|' ? one : (leet[c] ?? c))).join('')
}

/** A name whole and in its parts, from three characters on. */
function wordsOf(name: string): string[] {
  const folded = name.normalize('NFKC').toLowerCase()
  return [folded, ...folded.split(/[^\p{L}\p{N}]+/u)].filter((word) => word.length >= 3)
}
