import { runAlone } from '../lib/run.ts'
import { startAws } from './start.ts'

const usage = `node simulators/aws/main.ts [options]
  --port N       0 (a free one)
  --ca-dir DIR   where ca.pem and credential.json are written (a new folder)
Prints one JSON line when it is ready. SIGINT or SIGTERM ends it.`

await runAlone({
  system: 'aws',
  folder: 'aws-simulator-',
  usage,
  start: ({ port }) => startAws({ port }),
  files: () => ({}),
})
