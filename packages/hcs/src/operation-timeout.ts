/** Operations whose time limit can be set in the environment. */
export type TimeoutName = 'SYSTEMCREATE' | 'SYSTEMSTART' | 'SYSTEMPAUSE' | 'SYSTEMRESUME' | 'SYSTEMSAVE';

const defaultTimeout = 4 * 60_000;

/**
 * Milliseconds that an operation may take: four minutes, or the whole seconds in `HCSSHIM_TIMEOUT_<NAME>`.
 * Source: upstream `internal/timeout`.
 */
export function operationTimeout(name?: TimeoutName, environment = process.env): number {
  const text = (name && environment[`HCSSHIM_TIMEOUT_${name}`]) ?? '';
  return /^[1-9]\d{0,5}$/.test(text) ? Number(text) * 1000 : defaultTimeout;
}
