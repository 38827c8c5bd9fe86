import { runAlone } from '../lib/run.ts'
import { startOpenBao } from './start.ts'

const usage = `node simulators/openbao/main.ts [options]
  --port N       0 (a free one)
  --ca-dir DIR   where ca.pem and the tokens are written (a new folder)
Prints one JSON line when it is ready. SIGINT or SIGTERM ends it.`

await runAlone({
  system: 'openbao',
  folder: 'openbao-simulator-',
  usage,
  start: ({ port }) => startOpenBao({ port }),
  files: ({ credential, rootToken }) => ({
    tokenFile: ['token', credential],
    rootTokenFile: ['root-token', rootToken],
  }),
})
