/** What a failed connection to `url` means and what to do, in plain words. `code` is Node's own, for whoever searches for it. */
export function explainUnreachable(url: string, error: unknown): string {
  const { code, message } = causeOf(error)
  const isHttps = url.startsWith('https:')
  const why = (): string => {
    if (untrusted.has(code))
      return `${url}: its certificate is not from an authority that this machine knows. If it is your own authority, name its certificate: export NODE_EXTRA_CA_CERTS=/path/to/ca.pem`
    if (code === 'CERT_HAS_EXPIRED') return `${url}: its certificate has expired. Renew it on the server`
    if (code === 'CERT_NOT_YET_VALID')
      return `${url}: its certificate is not valid yet. Compare the clocks of the server and of this machine`
    if (code === 'ERR_TLS_CERT_ALTNAME_INVALID')
      return `${url}: its certificate is for another name. Use the name that the certificate has`
    if (isHttps && (/^ERR_SSL/.test(code) || code === 'EPROTO'))
      return `${url} does not speak https there. If Atlas runs without a certificate on this machine, use http://; else check the port`
    if (!isHttps && (/^HPE_/.test(code) || code === 'UND_ERR_SOCKET' || code === 'ECONNRESET'))
      return `${url} does not speak http there. Use https:// if the server has a certificate, or check the port`
    if (code === 'ENOTFOUND' || code === 'EAI_AGAIN')
      return `${url}: there is no machine of this name. Check ATLAS_URL or --server`
    if (/redirect/.test(message))
      return `${url} sends elsewhere, so it is not Atlas itself. Check ATLAS_URL or --server`
    if (code === 'ETIMEDOUT' || code === 'UND_ERR_CONNECT_TIMEOUT' || code === 'EHOSTUNREACH' || code === 'ENETUNREACH')
      return `${url} cannot be reached from here. Check the address, the network and the firewall`
    return `Nothing answers at ${url}. Start the server (npm start), or name another: export ATLAS_URL=http://127.0.0.1:8080`
  }
  return `${why()}${code === '' ? '' : ` (${code})`}`
}

const untrusted = new Set([
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'CERT_UNTRUSTED',
])

/** fetch hides the reason in `cause`, and a name with several addresses hides it once more in `errors`. */
function causeOf(error: unknown): { code: string; message: string } {
  const { cause } = error as { cause?: { code?: string; message?: string; errors?: { code?: string }[] } }
  return { code: cause?.code ?? cause?.errors?.[0]?.code ?? '', message: cause?.message ?? '' }
}
