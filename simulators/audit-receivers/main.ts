import { runAlone } from '../lib/run.ts'
import { startAuditReceivers } from './start.ts'

const usage = `node simulators/audit-receivers/main.ts [options]
  --port N       of the webhook receiver; 0 (a free one)
  --ca-dir DIR   where ca.pem, the credentials and atlas.env are written (a new folder)
Prints one JSON line when it is ready. SIGINT or SIGTERM ends it.
atlas.env has the settings that send the audit log here: set -a; . DIR/atlas.env; npm start`

await runAlone({
  system: 'audit-receivers',
  folder: 'audit-receivers-',
  usage,
  start: ({ port }) => startAuditReceivers({ port }),
  files: ({ settings }) => ({
    settingsFile: [
      'atlas.env',
      Object.entries(settings)
        .map(([name, value]) => `${name}='${value}'\n`)
        .join(''),
    ],
  }),
})
