/** Longest delay of a Node timer, 24.8 days. A deadline beyond it is none. */
const longestTimer = 2 ** 31 - 1;

/** Runs `expire` after so many milliseconds. Undefined where there is nothing to wait for. */
export function startTimer(milliseconds: number, expire: () => void): NodeJS.Timeout | undefined {
  return milliseconds > longestTimer ? undefined : setTimeout(expire, milliseconds);
}

/** Milliseconds as the wire has them, 0 for no limit. */
export function toTimeoutNano(milliseconds: number | undefined): bigint {
  if (milliseconds === undefined || milliseconds === Number.POSITIVE_INFINITY) return 0n;
  const nano = BigInt(Math.round(milliseconds * 1e6));
  return nano > longestNano ? longestNano : nano;
}

/** The largest int64: 292 years. */
const longestNano = 2n ** 63n - 1n;
