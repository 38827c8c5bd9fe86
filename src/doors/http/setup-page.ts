/**
 * The first-run page: makes the first administrator and shows its token once. The setup token is read from the URL's
 * fragment, which a browser never sends, so no log and no proxy sees it. No external resource; text only by textContent.
 */
export function setupPage(nonce: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Set up Infrastructure Atlas</title>
<style nonce="${nonce}">${style}</style>
</head>
<body>
<main>
<h1>Set up Infrastructure Atlas</h1>
<p id="intro">Choose the name and password of the first administrator. This link works once.</p>
<form id="form" autocomplete="on">
<label for="username">Name</label>
<input id="username" name="username" autocomplete="username" required maxlength="128" autocapitalize="none" spellcheck="false">
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="new-password" required maxlength="1024">
<label for="again">Password again</label>
<input id="again" name="again" type="password" autocomplete="new-password" required maxlength="1024">
<button type="submit">Create administrator</button>
</form>
<p id="problem" role="alert"></p>
<section id="done" hidden aria-labelledby="done-title" tabindex="-1">
<h2 id="done-title">Done</h2>
<p>This is your token. It is shown once; keep it where you keep passwords. It ends on <time id="expires"></time>.</p>
<output id="token"></output>
</section>
</main>
<noscript><p>This page needs JavaScript. Without it, send POST /api/v1/setup with setupToken, username and password.</p></noscript>
<script nonce="${nonce}">${script}</script>
</body>
</html>
`
}

const style = `
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif }
body { margin: 0; display: grid; place-items: center; min-height: 100vh }
main { width: min(28rem, 100% - 2rem); padding: 2rem 0 }
label { display: block; margin-top: 1rem; font-weight: 600 }
input, button { box-sizing: border-box; width: 100%; padding: .6rem; font: inherit }
button { margin-top: 1.5rem }
:focus-visible { outline: 3px solid Highlight; outline-offset: 2px }
#problem { font-weight: 600 }
#token { display: block; padding: 1rem; border: 1px solid; overflow-wrap: anywhere; font-family: monospace; user-select: all }
`

const script = `
'use strict'
const at = (id) => document.getElementById(id)
const setupToken = location.hash.slice(1)
history.replaceState(null, '', location.pathname)
const say = (text) => { at('problem').textContent = text }
if (setupToken === '') say('The link is incomplete: open the whole address that the server printed.')
at('form').addEventListener('submit', async (event) => {
  event.preventDefault()
  say('')
  if (at('password').value !== at('again').value) return say('The two passwords differ.')
  const button = at('form').querySelector('button')
  button.disabled = true
  try {
    const answer = await fetch('/api/v1/setup', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ setupToken, username: at('username').value, password: at('password').value }),
    })
    const body = await answer.json()
    if (!answer.ok) return say([body.detail || body.title, ...(body.errors || []).map((e) => e.field.slice(1) + ': ' + e.rule)].join(' '))
    at('form').remove()
    at('intro').remove()
    at('token').textContent = body.token
    at('expires').textContent = new Date(body.expiresAt).toLocaleString()
    at('done').hidden = false
    at('done').focus()
  } catch {
    say('The server did not answer. Nothing is known about the result; try again.')
  } finally {
    button.disabled = false
  }
})
`
