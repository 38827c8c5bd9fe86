import { ProtocolError, ProtocolErrorCode, type ReadResourceResult } from '@modelcontextprotocol/server'
import { problemJson, toProblem } from '../../core/problem.ts'
import type { Call, Invoke } from '../../gate/invoke.ts'

/** The action behind `resources/read`. Who may not call it sees no resources. */
export const readAction = 'inventory.assets.get'

export const assetTemplate = {
  uriTemplate: 'atlas://assets/{id}',
  name: 'asset',
  title: 'Asset',
  description:
    'One asset of the inventory with its attributes, relations and source. Ids come from inventory.assets.search.',
  mimeType: 'application/json',
}

/** Reads one asset through the gate. What is missing, denied or no URI of ours gives one and the same error. */
export async function readAsset(invoke: Invoke, call: Call, uri: string): Promise<ReadResourceResult> {
  const id = /^atlas:\/\/assets\/([\w.-]{1,64})$/.exec(uri)?.[1]
  if (id === undefined) throw noResource()
  try {
    const answer = await invoke(call, readAction, { asset: id })
    if ('output' in answer)
      return { contents: [{ uri, mimeType: assetTemplate.mimeType, text: JSON.stringify(answer.output) }] }
  } catch (error) {
    const problem = toProblem(error)
    if (['not-found', 'denied', 'invalid-input'].includes(problem.type)) throw noResource()
    throw new ProtocolError(ProtocolErrorCode.InternalError, problem.message, problemJson(problem, call.requestId))
  }
  throw new ProtocolError(
    ProtocolErrorCode.InvalidParams,
    `Reading this needs an approval; call the tool ${readAction}`,
    { uri },
  )
}

/** Without the address that was asked for: it is the caller's free text, and the caller has it. */
function noResource(): ProtocolError {
  return new ProtocolError(ProtocolErrorCode.InvalidParams, 'There is no such resource')
}
