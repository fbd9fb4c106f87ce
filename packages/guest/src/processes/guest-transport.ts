import type { Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { closeFd, connectUnix, connectVsock, SystemCallError, streamFromFd, VsockCid } from '@hcsshim/linux';

/** Connects to ports of the host. */
export interface GuestTransport {
  /** Fails with ECONNREFUSED, ENOENT or ECONNRESET when the host does not listen, ENODEV before there is a device. */
  dial(port: number, options?: { signal?: AbortSignal }): Promise<HostConnection>;
}

/**
 * A connection to the host: a descriptor that a process can have as its stdio, or a stream. Disposing closes
 * the descriptor unless a stream has taken it over.
 */
export class HostConnection implements Disposable {
  /** Non-blocking and close-on-exec. */
  readonly fd: number;
  #open = true;

  constructor(fd: number) {
    this.fd = fd;
  }

  /** Takes over the descriptor. */
  toStream(): Socket {
    const stream = streamFromFd(this.fd, { allowHalfOpen: true });
    this.#open = false;
    return stream;
  }

  /** The descriptor, which is the caller's to close from now on. */
  release(): number {
    this.#open = false;
    return this.fd;
  }

  [Symbol.dispose](): void {
    if (this.#open) closeFd(this.fd);
    this.#open = false;
  }
}

const dialAttempts = 10;
const dialInterval = 100;

/** AF_VSOCK to the host. A dial that times out is tried again, ten times in all, as upstream does. */
export const vsockTransport: GuestTransport = {
  async dial(port, { signal } = {}) {
    for (let attempt = 1; ; attempt++) {
      try {
        return new HostConnection(await connectVsock(VsockCid.host, port, { signal }));
      } catch (error) {
        const timedOut = error instanceof SystemCallError && error.code === 'ETIMEDOUT';
        if (!timedOut || attempt === dialAttempts) throw error;
        await sleep(dialInterval, undefined, signal ? { signal } : {});
      }
    }
  },
};

/** Unix sockets named `hvsocket/<port>` in the sandbox's directory. */
export function sandboxTransport(directory: string): GuestTransport {
  return {
    async dial(port, { signal } = {}) {
      return new HostConnection(await connectUnix(join(directory, 'hvsocket', String(port)), { signal }));
    },
  };
}
