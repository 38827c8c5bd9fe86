import { runAlone } from '../lib/run.ts'
import { startVpsa } from './start.ts'

const usage = `node simulators/zadara-vpsa/main.ts [options]
  --port N       0 (a free one)
  --devices N    288; --vms N 400
  --seed N       1
  --flaws N      copies of each planted flaw, 0
  --ca-dir DIR   where ca.pem and the credential files are written (a new folder)
Prints one JSON line when it is ready. SIGINT or SIGTERM ends it.`

await runAlone({
  system: 'zadara-vpsa',
  folder: 'vpsa-simulator-',
  usage,
  start: ({ truth, port }) => startVpsa({ truth, port }),
  files: ({ writeCredential }) => ({ writeCredentialFile: ['credential-write.json', JSON.stringify(writeCredential)] }),
})
