import { closeFd, FdWatcher, readNow, SystemCallError, writeNow } from '@hcsshim/linux';

/** Read at a time, before other streams have their turn. The most that one packet over vsock takes. */
const chunkSize = 64 * 1024;

/** One for all: what a sink does not take at once is copied. */
const chunk = new Uint8Array(chunkSize);
const nothing = new Uint8Array();

type State = 'awaiting source' | 'awaiting sink' | 'closed';

/**
 * Carries what comes out of one descriptor to another, where one is a pipe and the other a socket. Owns both and
 * closes both as soon as either side is over: at the end of the source the sink's reader finds an end of file,
 * and when nobody reads from the sink any more the source's writer gets EPIPE.
 *
 * By read and write, because splice(2) saves little: into a unix socket it is as fast, and into a vsock (Linux
 * 6.1) half as fast, since each page of the pipe becomes a packet.
 */
export class Relay {
  readonly #source: number;
  readonly #sink: number;
  readonly #sourceWatcher: FdWatcher;
  readonly #sinkWatcher: FdWatcher;
  #state: State = 'awaiting source';
  #unwritten: Uint8Array = nothing;
  #sinkHalfClosed = false;

  /** Takes over both descriptors and makes them non-blocking. */
  constructor(source: number, sink: number) {
    this.#source = source;
    this.#sink = sink;
    this.#sourceWatcher = new FdWatcher(source, () => this.#run(() => this.#read()));
    this.#sinkWatcher = new FdWatcher(sink, (_, writable) =>
      this.#run(() => {
        if (this.#state === 'awaiting sink') this.#write(this.#unwritten, this.#unwritten.length);
        // Not asked for now, so this is an error: nobody reads from the pipe, or the socket is broken.
        else if (writable) this.#close();
        else this.#checkSink();
      }),
    );
    this.#watch();
  }

  #run(step: () => void): void {
    if (this.#state === 'closed') return;
    try {
      step();
    } catch (error) {
      // EPIPE, or one of a socket's many ways to say it.
      if (!(error instanceof SystemCallError)) throw error;
      this.#close();
    }
  }

  #read(): void {
    if (this.#state !== 'awaiting source') return;
    const length = readNow(this.#source, chunk);
    if (length === 0) this.#close();
    else if (length !== undefined) this.#write(chunk, length);
  }

  #write(bytes: Uint8Array, length: number): void {
    const written = writeNow(this.#sink, bytes, length) ?? 0;
    this.#unwritten = written === length ? nothing : bytes.slice(written, length);
    this.#await(written === length ? 'source' : 'sink');
  }

  /** A socket has been disconnected, wholly or in the direction that does not matter here. */
  #checkSink(): void {
    // Fails where the other side reads no more, and else does nothing.
    writeNow(this.#sink, nothing);
    this.#sinkHalfClosed = true;
    this.#watch();
  }

  #await(side: 'source' | 'sink'): void {
    const next = `awaiting ${side}` as const;
    if (next === this.#state) return;
    this.#state = next;
    this.#watch();
  }

  #watch(): void {
    const awaitsSource = this.#state === 'awaiting source';
    this.#sourceWatcher.start({ readable: awaitsSource });
    this.#sinkWatcher.start({ writable: !awaitsSource, disconnect: awaitsSource && !this.#sinkHalfClosed });
  }

  #close(): void {
    this.#state = 'closed';
    void this.#sourceWatcher.close();
    void this.#sinkWatcher.close();
    closeFd(this.#source);
    closeFd(this.#sink);
  }
}
