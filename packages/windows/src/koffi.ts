import { createRequire } from 'node:module';

type Koffi = typeof import('koffi');

/** Async calls and callbacks from foreign threads that may be under way at once; koffi's own limit. */
const maxAsyncCalls = 4096;

let loaded: Koffi | undefined;

/** The foreign function library, loaded at the first call, so that importing this package costs nothing. */
export function koffi(): Koffi {
  if (loaded !== undefined) return loaded;
  loaded = createRequire(`${import.meta.dirname}/`)('koffi') as Koffi;
  try {
    // A callback beyond the limit is thrown as an error on a thread that has no JavaScript, and aborts the process.
    loaded.config({ max_async_calls: maxAsyncCalls });
  } catch {
    // Another part of the program has used koffi before, and its limit holds.
  }
  return loaded;
}
