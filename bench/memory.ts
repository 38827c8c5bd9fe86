/** How much higher the resident peak of the second half of a time is than that of the first, in MiB. */
export function watchMemory() {
  const seen: number[] = []
  const timer = setInterval(() => seen.push(process.memoryUsage.rss()), 50)
  return {
    stop(): number {
      clearInterval(timer)
      const half = Math.ceil(seen.length / 2)
      const peak = (part: readonly number[]) => part.reduce((most, value) => Math.max(most, value), 0)
      return (peak(seen.slice(half)) - peak(seen.slice(0, half))) / 1024 / 1024
    },
  }
}
