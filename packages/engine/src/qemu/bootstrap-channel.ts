import type { Duplex } from 'node:stream';
import { withDeadline } from '@hcsshim/hcs';
import { JsonLineDecoder } from './json-lines.ts';

/** What the engine tells the guest; the guest side is the agent's bootstrap port. */
export type BootstrapCommand =
  | {
      /** The VM is a clone that has just begun to run: set the clock, reseed, take the name, dial. */
      command: 'wake';
      /** Milliseconds since 1970. */
      time: number;
      /** 64 bytes in base64. */
      entropy: string;
      hostname: string;
    }
  /** Power off in good order. */
  | { command: 'shutdown' }
  /** Panic. */
  | { command: 'crash' };

const lineLimit = 64 * 1024;

/**
 * The virtio-serial port between engine and agent, JSON lines both ways: the only way to a guest that has
 * no vsock yet, or whose clock and randomness are those of another.
 */
export class BootstrapChannel {
  readonly #stream: Duplex;
  readonly #ready = Promise.withResolvers<void>();
  readonly #decoder = new JsonLineDecoder(lineLimit);

  constructor(stream: Duplex) {
    this.#stream = stream;
    this.#ready.promise.catch(() => {});
    stream.on('data', (bytes: Uint8Array) => this.#receive(bytes));
    // QEMU has ended; what it says about that is the better error.
    stream.on('error', () => {});
  }

  /** Resolves when the agent has said that it is up; does not when the channel closes: then QEMU ends, too. */
  async ready(options: { signal?: AbortSignal | undefined; timeout: number }): Promise<void> {
    await withDeadline({ ...options, action: 'Cannot reach the guest agent' }, () => this.#ready.promise);
  }

  /** Leaves a command for the guest; it stays in the socket until the agent reads its port. */
  async send(
    command: BootstrapCommand,
    options: { signal?: AbortSignal | undefined; timeout: number },
  ): Promise<void> {
    await withDeadline(
      { ...options, action: `Cannot send "${command.command}" to the guest` },
      () =>
        new Promise<void>((resolve, reject) => {
          this.#stream.write(`${JSON.stringify(command)}\n`, (error) => (error ? reject(error) : resolve()));
        }),
    );
  }

  close(): void {
    this.#stream.destroy();
  }

  #receive(bytes: Uint8Array): void {
    try {
      for (const message of this.#decoder.push(bytes)) {
        if (message.event === 'ready') this.#ready.resolve();
      }
    } catch (error) {
      this.#ready.reject(error);
      this.#stream.destroy();
    }
  }
}
