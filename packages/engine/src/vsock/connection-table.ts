import type { VsockConnection } from './connection.ts';

/** The connections of a device by their two ports. (Both in one number would not fit a double.) */
export class ConnectionTable {
  readonly #byHostPort = new Map<number, Map<number, VsockConnection>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(hostPort: number, guestPort: number): VsockConnection | undefined {
    return this.#byHostPort.get(hostPort)?.get(guestPort);
  }

  add(connection: VsockConnection): void {
    const { hostPort, guestPort } = connection;
    let byGuestPort = this.#byHostPort.get(hostPort);
    if (byGuestPort === undefined) {
      byGuestPort = new Map();
      this.#byHostPort.set(hostPort, byGuestPort);
    }
    byGuestPort.set(guestPort, connection);
    this.#size++;
  }

  /** Removes this very connection: a later one may have the same ports. */
  remove(connection: VsockConnection): void {
    const { hostPort, guestPort } = connection;
    const byGuestPort = this.#byHostPort.get(hostPort);
    if (byGuestPort?.get(guestPort) !== connection) return;
    byGuestPort.delete(guestPort);
    if (byGuestPort.size === 0) this.#byHostPort.delete(hostPort);
    this.#size--;
  }

  /** All of them, as they are now. */
  all(): VsockConnection[] {
    return [...this.#byHostPort.values()].flatMap((byGuestPort) => [...byGuestPort.values()]);
  }
}
