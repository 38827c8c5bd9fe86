/** Zammad's `{error, error_human}` as one safe sentence. Its own words are not repeated: they can hold what people wrote. */
export function explain(status: number, body: unknown): string | undefined {
  if (status === 401)
    return 'Zammad does not accept the token: it is unknown, has expired, or token access is switched off in its settings.'
  if (status === 403)
    return 'The Zammad token lacks a permission (ticket.agent), or its user has no access to the group of this ticket.'
  if (status === 422) return 'Zammad refused the values.'
  const said = typeof body === 'object' && body !== null ? (body as { error?: unknown }).error : undefined
  const id = typeof said === 'string' ? /^Error ID ([\w-]{1,40}):/.exec(said)?.[1] : undefined
  return id === undefined ? undefined : `Zammad failed inside; its administrator finds it in the log under ${id}.`
}
