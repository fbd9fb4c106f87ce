import { closeSync } from 'node:fs';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { bind } from './bind.ts';
import { kernel32 } from './dlls/kernel32.ts';
import { node } from './dlls/node.ts';
import type { Handle } from './procedure.ts';

/**
 * A stream over the handle of a pipe: one of a process's standard streams (`HCS_PROCESS_INFORMATION`), or an end
 * of `CreatePipe`. The stream owns the handle from the call on, also when that throws, and closes it when it
 * closes.
 *
 * Reads and writes are libuv's own, on none of the threads that calls run on. A pipe of Windows has no
 * half-close: ending the stream closes it.
 */
export function streamFromHandle(
  handle: Handle<'HANDLE'>,
  direction: { readable: boolean; writable: boolean },
): Duplex {
  const fd = bind(node).uv_open_osfhandle({ handle });
  if (fd < 0) {
    closeQuietly(() => bind(kernel32).CloseHandle({ object: handle }));
    throw new Error(
      `Cannot make a stream of handle ${handle}: it is closed, or no more descriptors are left`,
    );
  }
  try {
    return new Socket({ fd, ...direction });
  } catch (cause) {
    closeQuietly(() => closeSync(fd));
    throw new Error(`Cannot make a stream of handle ${handle}: it is not a pipe`, { cause });
  }
}

/** On the way to an error that tells more. */
function closeQuietly(close: () => unknown): void {
  try {
    close();
  } catch {
    // It was closed already.
  }
}
