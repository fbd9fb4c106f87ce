import { type Duplex, type Readable, Writable } from 'node:stream';
import { type Handle, type ProcessInformation, streamFromHandle } from '@hcsshim/windows';

/** A process's standard streams, as far as it has them. */
export interface ProcessStreams {
  stdin: Writable | null;
  stdout: Readable | null;
  stderr: Readable | null;
}

export const noStreams: ProcessStreams = { stdin: null, stdout: null, stderr: null };

/** Streams over the pipes of a process, which they own from the call on, also when it throws. */
export function openStreams({ stdInput, stdOutput, stdError }: ProcessInformation): ProcessStreams {
  const opened: Duplex[] = [];
  const failures: unknown[] = [];
  const open = (handle: Handle<'HANDLE'> | null, readable: boolean): Duplex | null => {
    if (handle === null) return null;
    try {
      const stream = streamFromHandle(handle, { readable, writable: !readable });
      opened.push(stream);
      return stream;
    } catch (error) {
      failures.push(error);
      return null;
    }
  };
  const [input, stdout, stderr] = [open(stdInput, false), open(stdOutput, true), open(stdError, true)];
  if (failures.length > 0) {
    for (const stream of opened) stream.destroy();
    throw failures[0];
  }
  return { stdin: input && new PipeWriter(input), stdout, stderr };
}

export function destroyStreams({ stdin, stdout, stderr }: ProcessStreams): void {
  for (const stream of [stdin, stdout, stderr]) stream?.destroy();
}

/**
 * Finishes when all bytes are in the pipe, and closes it then: its reader gets them, then the end. A socket's own
 * end would also wait until they have been read, for as long as the process likes.
 */
class PipeWriter extends Writable {
  readonly #pipe: Duplex;

  constructor(pipe: Duplex) {
    super();
    this.#pipe = pipe;
    pipe.on('error', (error) => this.destroy(error));
    pipe.once('close', () => this.destroy());
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#pipe.write(chunk, done);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#pipe.destroy();
    done(error);
  }
}
