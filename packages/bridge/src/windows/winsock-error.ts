import { HcsError, type HResultName } from '@hcsshim/schema';
import { DllCallError } from '@hcsshim/windows';

/** Codes of Winsock (winerror.h) that are no failure of a socket. */
export const WSAEWOULDBLOCK = 10035;
export const WSAECONNRESET = 10054;

interface Meaning {
  name: string;
  problem: string;
  /** For what is an error of the Host Compute Service on other platforms too. */
  code?: HResultName;
}

/** What codes mean for an hvsocket. The error's code is the name without "WSA" where no other is given. */
const meanings: Record<number, Meaning> = {
  10013: {
    name: 'WSAEACCES',
    problem: "the service's security descriptor does not let this user in",
    code: 'E_ACCESSDENIED',
  },
  10024: { name: 'WSAEMFILE', problem: 'too many sockets are open' },
  10045: {
    name: 'WSAEOPNOTSUPP',
    problem: 'this process may not do it for this VM',
    code: 'ERROR_NOT_SUPPORTED',
  },
  10047: {
    name: 'WSAEAFNOSUPPORT',
    problem: 'this Windows has no Hyper-V sockets, turn on its Hyper-V or Virtual Machine Platform feature',
    code: 'ERROR_NOT_SUPPORTED',
  },
  10048: { name: 'WSAEADDRINUSE', problem: 'the port is taken, choose another' },
  10049: {
    name: 'WSAEADDRNOTAVAIL',
    problem: 'no running system has this GUID',
    code: 'HCS_E_SYSTEM_NOT_FOUND',
  },
  10050: { name: 'WSAENETDOWN', problem: 'the VM is no longer served' },
  10051: {
    name: 'WSAENETUNREACH',
    problem: 'no running system has this GUID',
    code: 'HCS_E_SYSTEM_NOT_FOUND',
  },
  10053: { name: 'WSAECONNABORTED', problem: 'this host ended the connection' },
  10054: { name: 'WSAECONNRESET', problem: 'the other side reset the connection' },
  10055: { name: 'WSAENOBUFS', problem: 'the system has no memory for more sockets' },
  10060: { name: 'WSAETIMEDOUT', problem: 'the guest did not answer in time' },
  10061: { name: 'WSAECONNREFUSED', problem: 'nothing listens there' },
};

/**
 * What a call into Winsock threw, in words: an HcsError where the code has a like there, otherwise an Error whose
 * `code` is the one of Node for it, such as ECONNREFUSED.
 *
 * @param action Begins with "Cannot".
 */
export function socketError(action: string, error: unknown): unknown {
  return error instanceof DllCallError ? winsockError(action, error.status, error) : error;
}

export function winsockError(action: string, status: number, cause?: unknown): Error {
  const meaning = meanings[status];
  if (meaning === undefined)
    return failure(`${action}: Winsock error ${status}`, `WSA${status}`, status, cause);
  const { name, problem, code } = meaning;
  const told = `${problem}, ${name} (${status})`;
  if (code !== undefined) return new HcsError({ action, problem: told, code, cause });
  return failure(`${action}: ${told}`, name.slice('WSA'.length), status, cause);
}

function failure(message: string, code: string, errno: number, cause: unknown): Error {
  return Object.assign(new Error(message, cause === undefined ? undefined : { cause }), { code, errno });
}
