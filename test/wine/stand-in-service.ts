import { createServer, type Server, type Socket } from 'node:net';
import { createInterface } from 'node:readline';

/** What a call is answered with at once. */
export interface Answer {
  /** HRESULT. @default S_OK */
  result?: number;
  /** The number of a system or process that the call gives a handle to. */
  target?: number;
  document?: string | null;
  /** For `vmcompute.dll`: 1 leaves the call pending, 0 waits for its end. @default by the kind of the call */
  pending?: 0 | 1;
  /** What the Host Compute Network says of a failure. */
  errorRecord?: string | null;
  /** For calls that take an operation: how it ends. */
  completion?: Promise<Completion>;
}

export interface Completion {
  result?: number;
  document?: string | null;
  processId?: number;
  /** Standard streams of the process that was started: a bit for each. */
  streams?: number;
  /** How often the DLL calls back. @default 1 */
  times?: number;
}

/** One call of the program under test, as the stand-in DLL saw it. */
export interface Call {
  /** Name of the procedure. */
  name: string;
  /** Number of the operation that it takes. `HcsCancelOperation` names one in its string. */
  operation: number;
  /** Number of the system or process that it is about, or 0. */
  target: number;
  /** Its strings, in the order of the prototype but for a namespace, which is last. */
  strings: (string | null)[];
}

/** Input, output, errors. */
export type StandardStream = 0 | 1 | 2;

/** Tells of an event. A negative type makes the DLL call back without an event structure. */
export type Tell = (type: number, target: number, data: string | null) => void;

/** What stands behind the DLL, for one program under test. */
export interface Backend {
  answer(call: Call): Promise<Answer>;
  /**
   * The bytes of a standard stream of process `target`. False when the process is not one of this backend's:
   * numbers are never used twice, by whichever program.
   */
  stream?(target: number, which: StandardStream, socket: Socket): boolean;
  /** The program has ended, or has closed its connection. */
  disconnected?(): Promise<void>;
}

/**
 * The other end of the stand-in DLLs: takes their calls over loopback TCP, a JSON object a line, and answers
 * from a backend. The protocol is written down in `stand-in/computecore.c`.
 */
export class StandInService implements AsyncDisposable {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #ended: (Promise<void> | undefined)[] = [];
  readonly #backends: Backend[] = [];
  readonly #makeBackend: (tell: Tell) => Backend;

  private constructor(makeBackend: (tell: Tell) => Backend) {
    this.#makeBackend = makeBackend;
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.#accept(socket));
  }

  /** @param makeBackend Called for each program that connects. */
  static async start(makeBackend: (tell: Tell) => Backend): Promise<StandInService> {
    const service = new StandInService(makeBackend);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    service.#server.once('error', reject);
    service.#server.listen(0, '127.0.0.1', resolve);
    await promise;
    return service;
  }

  get port(): number {
    const address = this.#server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server.close(() => resolve());
    await promise;
    await Promise.all(this.#ended);
  }

  async #accept(socket: Socket): Promise<void> {
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
    // A program that ends takes its connections along.
    socket.on('error', () => {});
    const first = await readLine(socket);
    if (first === undefined) return;
    const { stream, target } = JSON.parse(first) as { stream?: StandardStream; target: number };
    if (stream === undefined) this.#serveCalls(socket, first);
    else if (!this.#backends.some((backend) => backend.stream?.(target, stream, socket))) socket.destroy();
  }

  #serveCalls(socket: Socket, first: string): void {
    const send = (message: object) => socket.write(`${asciiJson(message)}\n`);
    const backend = this.#makeBackend((event, target, data) => send({ event, target, data }));
    this.#backends.push(backend);
    socket.once('end', () => socket.end());
    socket.on('close', () => this.#ended.push(backend.disconnected?.()));
    const serve = async (line: string): Promise<void> => {
      const {
        id,
        call,
        target,
        arguments: strings,
      } = JSON.parse(line) as {
        id: number;
        call: string;
        target: number;
        arguments: (string | null)[];
      };
      const {
        result = 0,
        completion,
        ...answer
      } = await backend.answer({ name: call, operation: id, target, strings });
      send({ id, accepted: result | 0, ...answer });
      if (completion === undefined) return;
      const { result: completed = 0, ...end } = await completion;
      send({ id, completed: completed | 0, ...end });
    };
    serve(first);
    createInterface({ input: socket }).on('line', serve);
  }
}

/** The first line of a socket, which keeps what comes after; undefined when it closes before. */
async function readLine(socket: Socket): Promise<string | undefined> {
  let text = Buffer.alloc(0);
  while (!socket.destroyed && !socket.readableEnded) {
    const chunk = socket.read() as Buffer | null;
    if (chunk === null) {
      const { promise, resolve } = Promise.withResolvers<void>();
      for (const event of ['readable', 'end', 'close']) socket.once(event, resolve);
      await promise;
      for (const event of ['readable', 'end', 'close']) socket.off(event, resolve);
      continue;
    }
    text = Buffer.concat([text, chunk]);
    const end = text.indexOf('\n');
    if (end < 0) continue;
    if (end + 1 < text.length) socket.unshift(text.subarray(end + 1));
    return text.toString('latin1', 0, end);
  }
  return undefined;
}

/** The DLL reads ASCII; in escapes any UTF-16 survives, also halves of surrogate pairs. */
function asciiJson(message: object): string {
  return JSON.stringify(message).replace(
    /[\u007f-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
