const secretName =
  /pass|pwd|secret|token|key|cred|private|auth|cookie|licen[cs]e|user_?data|meta_?data|connection_?string|dsn/i

/** Whether a fact's path has a name in it that secrets are kept under. Rather too many than too few: public keys are left out too. */
export function isSecretName(path: string): boolean {
  return secretName.test(path)
}

/** No more of a value is shown than is looked at here. */
const longestLook = 2000

/** A value that is a secret whatever it is called: a PEM key, a JSON web token, an address with a password. */
export function looksSecret(whole: string): boolean {
  const value = whole.slice(0, longestLook)
  return /-----BEGIN|\beyJ[\w-]{10,}\.[\w-]{10,}\.|\b[a-z][a-z0-9+.-]*:\/\/[^\s/@:]+:[^\s/@]+@/i.test(value)
}
