import { HcsError } from '@hcsshim/schema';

/** For any call through a handle that its holder has closed. */
export function closedHandleError(verb: string, id: string): HcsError {
  return new HcsError({
    action: `Cannot ${verb} compute system "${id}"`,
    problem: 'this handle to it is closed, open another',
    code: 'ERROR_INVALID_HANDLE',
  });
}
