import { HcsError } from '@hcsshim/schema';

/** For any call through a handle to a compute system that its holder has closed. */
export function closedHandleError(verb: string, id: string): HcsError {
  return closedError(`${verb} compute system "${id}"`);
}

/** For any call through a closed handle. `action` follows "Cannot". */
export function closedError(action: string): HcsError {
  return new HcsError({
    action: `Cannot ${action}`,
    problem: 'this handle to it is closed, open another',
    code: 'ERROR_INVALID_HANDLE',
  });
}
