/**
 * The protocol of a system's control socket. The client sends requests, one JSON object a line, the owner
 * answers each in any order:
 *
 *     → {"id":1,"method":"pause"}              ← {"id":1,"result":null}
 *     → {"id":2,"method":"modify","params":…}  ← {"id":2,"error":{"code":"HCS_E_…","action":…,"problem":…}}
 *     → {"cancel":1}                             gives request 1 up, which is answered all the same
 *
 * `open` makes the connection a handle of the system, until it closes. After the answer to `connect` the
 * connection is no longer lines, but the bytes of the hvsocket.
 */
import { HcsError, HResult, type HResultName } from '@hcsshim/hcs';

export type ControlMethod =
  | 'open'
  | 'start'
  | 'shutdown'
  | 'terminate'
  | 'pause'
  | 'resume'
  | 'crash'
  | 'properties'
  | 'modify'
  | 'wait'
  | 'connect';

export interface ControlRequest {
  id: number;
  method: ControlMethod;
  params?: unknown;
}

export interface ControlCancel {
  cancel: number;
}

export type ControlResponse = { id: number; result: unknown } | { id: number; error: ErrorMessage };

export interface ErrorMessage {
  /** Name of an HRESULT, or a system error such as ECONNREFUSED. */
  code?: string;
  /** Of an HcsError. */
  action?: string;
  problem?: string;
  message: string;
}

export function encodeError(error: unknown): ErrorMessage {
  if (error instanceof HcsError) {
    const { code, action, problem, message } = error;
    return { code, action, problem, message };
  }
  const { code, message } = error as NodeJS.ErrnoException;
  return { ...(typeof code === 'string' ? { code } : {}), message: String(message) };
}

export function decodeError({ code, action, problem, message }: ErrorMessage): Error {
  if (code !== undefined && code in HResult && action !== undefined && problem !== undefined) {
    return new HcsError({ action, problem, code: code as HResultName });
  }
  return Object.assign(new Error(message), code === undefined ? {} : { code });
}
