import type { Duplex } from 'node:stream';

/**
 * Sockets between a host and the guests of its VMs: AF_HYPERV on Windows, what the monitor offers on Linux.
 * Streams keep bytes in order, push back, and close each direction on its own (`end()`); a reset shows as an
 * error with code ECONNRESET.
 */
export interface HvSocket {
  /**
   * Lets the guest of `vmId` (its runtime GUID) connect to `port`. Possible from the system's creation on.
   * Throws when the port is taken.
   */
  listen(vmId: string, port: number): Promise<HvListener>;
  /** Connects to `port` in the guest. Rejects with code ECONNREFUSED when nothing listens there. */
  connect(vmId: string, port: number, options?: { signal?: AbortSignal }): Promise<Duplex>;
}

export interface HvListener extends AsyncDisposable {
  readonly port: number;
  /** The next connection, in the order of arrival. Rejects when the signal aborts or the listener closes. */
  accept(options?: { signal?: AbortSignal }): Promise<Duplex>;
}

/** Well-known vsock ports of the guest protocol (upstream `internal/guest/prot`, `cmd/gcs`). */
export const GuestPort = {
  /** The agent dials the host here and speaks the bridge protocol. */
  bridge: 0x40000000,
  /** First port for the stdio of processes; the host counts upward. */
  firstStdio: 0x40000001,
  /** The agent's log, JSON lines. */
  log: 109,
  /** The host serves random bytes to a fresh guest. */
  entropy: 1,
} as const;
