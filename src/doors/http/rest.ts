import type { Action } from '../../core/action.ts'
import { type EventCode, gateEvents } from '../../gate/events.ts'
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
    events: [...gateEvents, ...((action.events ?? []) as EventCode[])],
    handle: async ({ request, reply }, { call }) => {
      const answer = await invoke(call('http'), action.name, await readInput(request))
      if ('output' in answer) return send(reply, answer.output ?? null)
      void reply.code(202).header('location', `/api/v1/approvals/${answer.pending}`)
      return send(reply, { pending: answer.pending, detail: pendingText(answer.pending) })
    },
  }
}

function pendingText(approval: string): string {
  return `Nothing was done yet: another person must approve this exact call. Send it again with the header Atlas-Approval: ${approval} once it is approved.`
}

function send(reply: { type: (type: string) => { send: (text: string) => unknown } }, value: unknown) {
  return reply.type('application/json; charset=utf-8').send(JSON.stringify(value))
}
