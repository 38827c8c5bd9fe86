import { z } from 'zod'

export type JsonSchema = { readonly [key: string]: unknown }

/**
 * JSON Schema 2020-12 of a zod schema: `input` is what a caller may send, `output` what it receives.
 * What JSON Schema cannot say (a transform's result, a class) becomes `{}`, which accepts everything; zod stays the judge.
 */
export function jsonSchemaOf(schema: z.ZodType, io: 'input' | 'output'): JsonSchema {
  const known = made[io].get(schema)
  if (known) return known
  const { $schema: _, '~standard': __, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: 'any' }) as JsonSchema
  made[io].set(schema, rest)
  return rest
}

// Several doors ask for the same ones at the start.
const made = { input: new WeakMap<z.ZodType, JsonSchema>(), output: new WeakMap<z.ZodType, JsonSchema>() }

/** The properties that an object schema, or any branch of a union of objects, names. */
export function propertiesOf(schema: JsonSchema): Readonly<Record<string, JsonSchema>> {
  const branches = ['anyOf', 'oneOf', 'allOf'].flatMap((key) => {
    const value = schema[key]
    return Array.isArray(value) ? value.filter(isSchema) : []
  })
  const own = isSchema(schema['properties']) ? schema['properties'] : {}
  const all = Object.assign(Object.create(null), ...branches.map(propertiesOf))
  for (const [name, value] of Object.entries(own)) if (isSchema(value)) all[name] = value
  return all
}

export function isSchema(value: unknown): value is JsonSchema {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
