/** Longest delay of a Node timer, 24.8 days. A deadline beyond it is none. */
const longestTimer = 2 ** 31 - 1;

/** Runs `expire` after so many milliseconds. Undefined where there is nothing to wait for. */
export function startTimer(milliseconds: number, expire: () => void): NodeJS.Timeout | undefined {
  return milliseconds > longestTimer ? undefined : setTimeout(expire, milliseconds);
}

/** Milliseconds as the wire has them: 0 for no limit, so at least 1 for any; at most an int64, 292 years. */
export function toTimeoutNano(milliseconds: number | undefined): bigint {
  if (milliseconds === undefined || milliseconds === Number.POSITIVE_INFINITY) return 0n;
  const nano = Math.max(1, Math.round(milliseconds * 1e6));
  return nano >= 2 ** 63 ? 2n ** 63n - 1n : BigInt(nano);
}
