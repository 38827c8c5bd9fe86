import { readAll } from './body.ts'
import type { HttpDoorParts } from './parts.ts'
import type { Route } from './route.ts'

/**
 * `POST /hooks/{connection}`: what connected systems send. Public, because the sender proves itself by the signature over the
 * raw body. Answers 202 at once; what follows is the schedule's matter.
 */
export function webhookRoutes({ receive, unauthenticatedLimit }: HttpDoorParts): readonly Route[] {
  if (!receive) return []
  return [
    {
      method: 'POST',
      path: '/hooks/:connection',
      public: true,
      events: ['webhook.received', 'webhook.refused', 'webhook.refused-again'],
      handle: async ({ request, reply, remoteAddress }) => {
        const { connection } = request.params as { connection: string }
        const body = await readAll(request.raw)
        try {
          await receive(connection, { headers: request.headers, body }, remoteAddress)
        } catch (error) {
          unauthenticatedLimit(remoteAddress)
          throw error
        }
        return reply.code(202).send({ accepted: true })
      },
    },
  ]
}
