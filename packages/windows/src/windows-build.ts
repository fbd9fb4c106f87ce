import { release } from 'node:os';

/** Build of the running Windows, 20348 for example; undefined elsewhere. */
export function windowsBuild(): number | undefined {
  if (process.platform !== 'win32') return undefined;
  // "10.0.20348"
  const build = Number(release().split('.')[2]);
  return Number.isInteger(build) ? build : undefined;
}
