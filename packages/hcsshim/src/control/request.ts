import type { ProcessOptions } from '../default-spec.ts';

/** What a command may ask the owner of a container. */
export type Request = { type: 'exec'; process: ProcessOptions } | { type: 'stop'; patience?: number };

/** Checks a message from another process. Throws in words when it is not a request. */
export function parseRequest(message: Record<string, unknown>): Request {
  if (message.type === 'stop') {
    const { patience } = message;
    if (patience === undefined) return { type: 'stop' };
    if (typeof patience === 'number' && patience >= 0) return { type: 'stop', patience };
    throw new Error('Cannot serve the stop request: its patience is not a number of milliseconds');
  }
  if (message.type !== 'exec')
    throw new Error(`Cannot serve the request "${String(message.type)}": it is unknown`);
  const process = message.process as Record<string, unknown> | null;
  if (typeof process !== 'object' || process === null)
    throw new Error('Cannot serve the exec request: it has no process');
  for (const field of ['args', 'env'] as const) {
    const value = process[field];
    if (value === undefined) continue;
    if (!Array.isArray(value) || value.some((item) => typeof item !== 'string')) {
      throw new Error(`Cannot serve the exec request: process.${field} is not a list of strings`);
    }
  }
  for (const field of ['cwd', 'user'] as const) {
    if (process[field] !== undefined && typeof process[field] !== 'string') {
      throw new Error(`Cannot serve the exec request: process.${field} is not a string`);
    }
  }
  const terminal = process.terminal as Record<string, unknown> | undefined;
  if (terminal !== undefined && !(Number.isInteger(terminal?.columns) && Number.isInteger(terminal?.rows))) {
    throw new Error('Cannot serve the exec request: process.terminal has no columns and rows');
  }
  return { type: 'exec', process: process as ProcessOptions };
}
