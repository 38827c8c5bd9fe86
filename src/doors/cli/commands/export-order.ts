import type { Command } from 'commander'
import { CliError, type Json } from '../client.ts'

/** What an export and a plan are ordered with. */
export const withOrder = (command: Command) =>
  command
    .option('-f, --format <format>', 'xlsx, csv or jsonl', 'xlsx')
    .option('--sanitised', 'for people outside: pseudonyms for names, addresses and serials, no free text')
    .option('--keep-days <days>', 'how long the server keeps it (1–90)', '7')

/** The body that exports and plans have in common. */
export function orderOf(dataset: string, filters: readonly string[], options: Json): Json {
  return {
    dataset,
    params: paramsOf(filters),
    format: options['format'],
    profile: options['sanitised'] ? 'sanitised' : 'full',
    keepDays: Number(options['keepDays']),
  }
}

/** `kind=device kind=rack stale=true`: a name given twice is a list. */
function paramsOf(filters: readonly string[]): Json {
  const params: Record<string, unknown> = {}
  for (const filter of filters) {
    const [, name, value] = /^([A-Za-z]\w*)=(.*)$/s.exec(filter) ?? []
    if (name === undefined) throw new CliError(`${filter}: write a filter like kind=device`, 2)
    params[name] = name in params ? [params[name], value].flat() : value
  }
  return params
}
