import { runAlone } from '../lib/run.ts'
import { startKimai } from './start.ts'

const usage = `node simulators/kimai/main.ts [options]
  --port N      0 (a free one)
  --devices N   288; --vms N 400
  --seed N      1
  --flaws N     of each planted flaw; 0
  --times N     300
  --ca-dir DIR  where ca.pem and the credentials are written (a new folder)
Prints one JSON line when it is ready. SIGINT or SIGTERM ends it.`

await runAlone({
  system: 'kimai',
  folder: 'kimai-simulator-',
  usage,
  numbers: { times: 300 },
  start: ({ truth, port, numbers }) => startKimai({ truth, port, timesheets: numbers.times }),
  files: ({ tokens }) => ({ writerFile: ['writer.json', JSON.stringify({ token: tokens.writer })] }),
})
