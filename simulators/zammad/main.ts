import { runAlone } from '../lib/run.ts'
import { startZammad } from './start.ts'

const usage = `node simulators/zammad/main.ts [options]
  --port N      0 (a free one)
  --devices N   288; --vms N 400
  --seed N      1
  --flaws N     of each planted flaw; 0
  --tickets N   300
  --ca-dir DIR  where ca.pem and the credentials are written (a new folder)
Prints one JSON line when it is ready. SIGINT or SIGTERM ends it.`

await runAlone({
  system: 'zammad',
  folder: 'zammad-simulator-',
  usage,
  numbers: { tickets: 300 },
  start: ({ truth, port, numbers }) => startZammad({ truth, port, tickets: numbers.tickets }),
  files: ({ tokens }) => ({ writerFile: ['writer.json', JSON.stringify({ token: tokens.writer })] }),
})
