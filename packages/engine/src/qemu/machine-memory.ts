import { closeFd, createMemfd } from '@hcsshim/linux';

/**
 * The RAM of one guest: a file in memory without a name, shared between QEMU and the vsock's backend. It is
 * gone with its last user, so a crash leaves nothing.
 */
export class MachineMemory implements Disposable {
  readonly fd: number;

  constructor(sizeMb: number) {
    this.fd = createMemfd('hcsshim-guest-memory', sizeMb * 1024 * 1024);
  }

  /** While it is open, also for others that would rather have a path. */
  get path(): string {
    return `/proc/self/fd/${this.fd}`;
  }

  [Symbol.dispose](): void {
    closeFd(this.fd);
  }
}
