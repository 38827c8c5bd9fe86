import type { ConnectionContext } from '../../core/connector.ts'
import { makeS3 } from './s3.ts'
import type { Config } from './settings.ts'

const minutes = 60_000

/** Asks for the buckets. S3 tells neither its version nor what a key may do, so excess rights cannot be warned of. */
export async function check({ http, config }: ConnectionContext<Config>) {
  const { body, headers } = await makeS3(http, config.region).buckets()
  const ahead = Math.abs(Date.parse(headers['date'] ?? '') - Date.now())
  return {
    version: 'S3',
    ...(body.owner !== undefined && { account: body.owner }),
    warnings:
      ahead > 5 * minutes
        ? [
            'The clocks of Atlas and of the object storage differ by more than 5 minutes; at 15 it refuses every request.',
          ]
        : [],
  }
}
