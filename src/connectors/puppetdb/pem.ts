import { createPrivateKey, X509Certificate } from 'node:crypto'

/** One certificate or a chain, the own one first. */
export function isPemCertificate(text: string): boolean {
  return succeeds(() => new X509Certificate(text))
}

/** Without a passphrase: one would have to be asked for at every start. */
export function isPemKey(text: string): boolean {
  return succeeds(() => createPrivateKey(text))
}

/** Whether the key is the certificate's. What cannot be read is judged by the fields' own rules. */
export function isPairOfKeys(certificate: string, key: string): boolean {
  if (!isPemCertificate(certificate) || !isPemKey(key)) return true
  return new X509Certificate(certificate).checkPrivateKey(createPrivateKey(key))
}

/** OpenSSL's own words are not passed on: they could repeat the text. */
function succeeds(parse: () => unknown): boolean {
  try {
    parse()
    return true
  } catch {
    return false
  }
}
