import type { Socket } from 'node:net';

/**
 * containerd holds a connection for every container that it knows. A shim without connections and without
 * tasks has been forgotten, for example by a containerd that was killed between `start` and Create: it ends
 * by itself.
 */
export class IdleWatch {
  readonly #isEmpty: () => boolean;
  readonly #onIdle: () => void;
  readonly #timeout: number;
  readonly #connections = new Set<Socket>();
  #timer: NodeJS.Timeout | undefined;

  /** @param timeout in milliseconds */
  constructor(isEmpty: () => boolean, onIdle: () => void, timeout = 30_000) {
    this.#isEmpty = isEmpty;
    this.#onIdle = onIdle;
    this.#timeout = timeout;
    this.#restart();
  }

  watch(connection: Socket): void {
    this.#connections.add(connection);
    clearTimeout(this.#timer);
    connection.once('close', () => {
      this.#connections.delete(connection);
      if (this.#connections.size === 0) this.#restart();
    });
  }

  #restart(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      if (this.#isEmpty()) this.#onIdle();
      else if (this.#connections.size === 0) this.#restart();
    }, this.#timeout);
  }
}
