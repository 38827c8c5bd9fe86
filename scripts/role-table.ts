import { readFileSync, writeFileSync } from 'node:fs'
import { rolesTable } from '../src/features/policy/roles-table.ts'

/** Writes who may do what into docs/operate/policy.md, as the shipped policies decide it. */
const page = 'docs/operate/policy.md'
const [before, , after] = readFileSync(page, 'utf8').split('<!-- roles -->')
writeFileSync(page, `${before}<!-- roles -->\n${rolesTable()}\n<!-- roles -->${after}`)
