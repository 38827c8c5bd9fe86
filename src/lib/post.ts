export type Posted = { readonly status: number; readonly contentType: string; readonly body: string }

const maxAnswerBytes = 1_048_576

/**
 * One POST to an address that the operator configured; never follows a redirect. Any status is an answer. Rejects when there is none in
 * time, or one of more than 1 MiB.
 */
export async function post(
  url: string,
  body: string,
  headers: Readonly<Record<string, string>>,
  timeoutMs: number,
): Promise<Posted> {
  const signal = AbortSignal.timeout(timeoutMs)
  const response = await fetch(url, { method: 'POST', body, headers, redirect: 'manual', signal })
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of response.body ?? []) {
    size += chunk.length
    if (size > maxAnswerBytes) throw new Error('the answer is larger than 1 MiB')
    chunks.push(chunk)
  }
  return {
    status: response.status,
    contentType: response.headers.get('content-type') ?? '',
    body: Buffer.concat(chunks).toString('utf8'),
  }
}
