import { getSystemErrorMap } from 'node:util';

const words = new Map(getSystemErrorMap().values());

/** The system's own words for an error of one of its calls, as `no space left on device`; other errors' message. */
export function systemProblem(error: unknown): string {
  const { code = '', syscall, message } = error as NodeJS.ErrnoException;
  // An error without a message is one of several, as of connections to all addresses of a host.
  const isSystems = syscall !== undefined || message === '' || message === 'aborted';
  return (isSystems ? words.get(code) : undefined) ?? message ?? String(error);
}
