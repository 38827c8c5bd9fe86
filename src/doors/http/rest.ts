import type { FastifyReply } from 'fastify'
import type { Action } from '../../core/action.ts'
import { connectionEvents, type EventCode, gateEvents } from '../../gate/events.ts'
import { jsonSchemaOf, propertiesOf } from '../../lib/json-schema.ts'
import { makeInputReader } from './input.ts'
import type { HttpDoorParts } from './parts.ts'
import type { Route } from './route.ts'

/** One route per action, below /api/v1. */
export function restRoutes({ actions, invoke }: Pick<HttpDoorParts, 'actions' | 'invoke'>): readonly Route[] {
  return actions.map((action) => restRoute(action, invoke))
}

function restRoute(action: Action, invoke: HttpDoorParts['invoke']): Route {
  const readInput = makeInputReader(action)
  return {
    method: action.http.method,
    path: `/api/v1${action.http.path.replaceAll(/\{(\w+)\}/g, ':$1')}`,
    public: false,
    events: [...gateEvents, ...connectionEventsOf(action), ...((action.events ?? []) as EventCode[])],
    handle: async ({ request, reply }, { call }) => {
      const answer = await invoke(call('http'), action.name, await readInput(request))
      return 'output' in answer ? send(reply, answer.output ?? null) : sendPending(reply, answer.pending)
    },
  }
}

/** Whatever names a connection may have to open it. */
function connectionEventsOf({ input, http }: Action): readonly EventCode[] {
  const opens = 'connection' in propertiesOf(jsonSchemaOf(input, 'input')) || http.path.startsWith('/syncs/')
  return opens ? connectionEvents : []
}

/** Nothing was done yet: the answer says what to wait for. */
export function sendPending(reply: FastifyReply, approval: string) {
  void reply.code(202).header('location', `/api/v1/approvals/${approval}`)
  return send(reply, { pending: approval, detail: pendingText(approval) })
}

function pendingText(approval: string): string {
  return `Nothing was done yet: another person must approve this exact call. Send it again with the header Atlas-Approval: ${approval} once it is approved.`
}

function send(reply: FastifyReply, value: unknown) {
  return reply.type('application/json; charset=utf-8').send(JSON.stringify(value))
}
