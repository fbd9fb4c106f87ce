import { once } from 'node:events';
import { createConnection, type Socket } from 'node:net';
import { PassThrough, type Readable, Writable } from 'node:stream';
import { HcsError } from '@hcsshim/hcs';
import type { ProcessOptions } from '../default-spec.ts';
import { containerPaths } from './container-record.ts';
import { Channel, encodeFrame, encodeMessage, type Frame, parseMessage, readFrames } from './frame.ts';

/** A process in a container that another process owns. */
export interface RemoteProcess {
  readonly pid: number;
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** The exit code. Rejects when the owner goes away first. */
  wait(): Promise<number>;
  kill(signal: number): Promise<boolean>;
  resize(size: { columns: number; rows: number }): Promise<void>;
  closeStdin(): void;
}

/** Starts a process in a container that `hcsshim run` owns. Throws HCS_E_SYSTEM_NOT_FOUND. */
export async function execInContainer(id: string, process: ProcessOptions): Promise<RemoteProcess> {
  const socket = await connectToOwner(id, 'exec in');
  socket.write(encodeMessage({ type: 'exec', process }));
  const frames = readFrames(socket);
  const started = await nextMessage(frames, id);

  const stdout = new PassThrough();
  const stderr = new PassThrough();
  const exit = receive(frames, id, stdout, stderr).finally(() => {
    stdout.end();
    stderr.end();
    socket.destroy();
  });
  exit.catch(() => {});
  const send = (message: unknown): void => {
    if (socket.writable) socket.write(encodeMessage(message));
  };
  const stdin = new Writable({
    write: (chunk: Buffer, _encoding, done) =>
      void socket.write(encodeFrame(Channel.primary, chunk), () => done()),
    final: (done) => {
      send({ type: 'stdin-end' });
      done();
    },
  });
  return {
    pid: Number(started.pid),
    stdin,
    stdout,
    stderr,
    wait: () => exit,
    kill: async (signal) => {
      send({ type: 'signal', signal });
      return socket.writable;
    },
    resize: async (size) => send({ type: 'resize', ...size }),
    closeStdin: () => void stdin.end(),
  };
}

/**
 * Stops a container that `hcsshim run` owns; resolves when it has stopped. Throws HCS_E_SYSTEM_NOT_FOUND.
 *
 * @param options.patience How long it may take after it was asked, in milliseconds, before it is killed. @default 30000
 */
export async function stopContainer(id: string, options: { patience?: number } = {}): Promise<void> {
  const socket = await connectToOwner(id, 'stop');
  try {
    socket.write(encodeMessage({ type: 'stop', ...options }));
    await nextMessage(readFrames(socket), id);
  } finally {
    socket.destroy();
  }
}

async function connectToOwner(id: string, action: string): Promise<Socket> {
  const socket = createConnection({ path: containerPaths(id).socket, allowHalfOpen: true });
  try {
    await once(socket, 'connect');
  } catch (cause) {
    throw new HcsError({
      action: `Cannot ${action} container "${id}"`,
      problem: 'no container with this id runs, "hcsshim ps" lists those that do',
      code: 'HCS_E_SYSTEM_NOT_FOUND',
      cause,
    });
  }
  socket.on('error', () => socket.destroy());
  return socket;
}

async function nextMessage(frames: AsyncGenerator<Frame>, id: string): Promise<Record<string, unknown>> {
  const { value, done } = await frames.next();
  if (done) throw ownerGone(id);
  const message = parseMessage(value);
  if (message.type === 'error') throw new Error(String(message.message));
  return message;
}

async function receive(
  frames: AsyncGenerator<Frame>,
  id: string,
  stdout: PassThrough,
  stderr: PassThrough,
): Promise<number> {
  for await (const frame of frames) {
    if (frame.channel === Channel.message) {
      const message = parseMessage(frame);
      if (message.type === 'exit') return Number(message.exitCode);
      if (message.type === 'error') throw new Error(String(message.message));
      continue;
    }
    const target = frame.channel === Channel.stderr ? stderr : stdout;
    if (!target.write(frame.payload)) await once(target, 'drain');
  }
  throw ownerGone(id);
}

function ownerGone(id: string): HcsError {
  return new HcsError({
    action: `Cannot follow the process in container "${id}"`,
    problem: 'the process that owns the container has gone away',
    code: 'HCS_E_CONNECTION_CLOSED',
  });
}
