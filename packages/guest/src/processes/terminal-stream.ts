import { closeSync, readSync, writeSync } from 'node:fs';
import { Duplex } from 'node:stream';
import { FdWatcher } from '@hcsshim/linux';

const readSize = 64 * 1024;

/**
 * The master of a pseudo-terminal as a stream. Reading ends, after all output, once the last slave is closed,
 * which the kernel tells by EIO (a socket stream would take that as an error and drop what it has buffered).
 * Owns the descriptor.
 */
export class TerminalStream extends Duplex {
  readonly #fd: number;
  readonly #watcher: FdWatcher;
  #wantsRead = false;
  #unwritten: { chunk: Buffer; done: (error?: Error | null) => void } | undefined;

  constructor(fd: number) {
    super({ allowHalfOpen: false });
    this.#fd = fd;
    this.#watcher = new FdWatcher(fd, (readable, writable) => {
      if (readable && this.#wantsRead) this.#readSome();
      if (writable) this.#writeSome();
      this.#watch();
    });
  }

  override _read(): void {
    this.#wantsRead = true;
    this.#watch();
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.#unwritten = { chunk, done };
    this.#writeSome();
    this.#watch();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#watcher.close().then(() => {
      closeSync(this.#fd);
      done(error);
    });
  }

  #watch(): void {
    if (this.destroyed) return;
    this.#watcher.start({ readable: this.#wantsRead, writable: this.#unwritten !== undefined });
  }

  #readSome(): void {
    const buffer = Buffer.allocUnsafe(readSize);
    try {
      const length = readSync(this.#fd, buffer);
      this.#wantsRead = length > 0 && this.push(buffer.subarray(0, length));
      if (length === 0) this.push(null);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EAGAIN') return;
      this.#wantsRead = false;
      if (code === 'EIO') this.push(null);
      else this.destroy(error as Error);
    }
  }

  #writeSome(): void {
    if (!this.#unwritten) return;
    const { chunk, done } = this.#unwritten;
    try {
      const length = writeSync(this.#fd, chunk);
      if (length < chunk.length) {
        this.#unwritten = { chunk: chunk.subarray(length), done };
        return;
      }
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EAGAIN') return;
      if (code !== 'EIO') {
        this.#unwritten = undefined;
        done(error as Error);
        return;
      }
      // Nobody has the terminal open any more: what is typed goes nowhere.
    }
    this.#unwritten = undefined;
    done();
  }
}
