/** Levels by falling weight, as upstream's logger (logrus) names them. */
export const logLevels = ['panic', 'fatal', 'error', 'warning', 'info', 'debug', 'trace'] as const;

export type LogLevel = (typeof logLevels)[number];

/** Throws in words for a name that is no level. */
export function parseLogLevel(name: string): LogLevel {
  const lower = name.toLowerCase();
  const level = logLevels.find((known) => known === (lower === 'warn' ? 'warning' : lower));
  if (level === undefined)
    throw new Error(`Cannot log at level "${name}": use one of ${logLevels.join(', ')}`);
  return level;
}
