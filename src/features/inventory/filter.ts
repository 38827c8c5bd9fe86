/** Which assets a search is about. Empty lists do not narrow; values are compared exactly. */
export type Filter = {
  readonly kinds: readonly string[]
  /** Id of a connection. */
  readonly source: string | undefined
  readonly statuses: readonly string[]
  readonly sites: readonly string[]
  /** True: only what the systems no longer report; false: only what they do. */
  readonly stale: boolean
}

/** Whether it chooses by anything but staleness. */
export function narrows({ kinds, source, statuses, sites }: Filter): boolean {
  return source !== undefined || kinds.length > 0 || statuses.length > 0 || sites.length > 0
}
