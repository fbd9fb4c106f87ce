import { createServer, type Server, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { HvListener } from '@hcsshim/bridge';
import { type ComputeService, HcsError } from '@hcsshim/hcs';
import type { ContractHarness, ForeignOwner } from '@hcsshim/hcs/contract';
import type { ComputeSystemDocument } from '@hcsshim/schema';
import { encodeError } from '../../packages/engine/src/control-protocol.ts';
import { LineChannel } from '../../packages/engine/src/line-channel.ts';

/**
 * What a contract test under Wine does where its DLL does not reach: hvsockets, and what no caller can do. Each
 * call has a connection of its own, over loopback TCP: one line there, one line back. After a line
 * `{"stream":true}` the connection is the bytes of an hvsocket. Closing it before the answer gives the call up.
 */
export interface HandRequest {
  hand: 'open' | 'close' | keyof typeof hands;
  /** Number of a listener or owner that an earlier call gave. */
  number?: number;
  vmId?: string;
  port?: number;
  id?: string;
  document?: ComputeSystemDocument;
}

export type HandAnswer = { result: unknown } | { stream: true } | { error: ReturnType<typeof encodeError> };

/** A harness that is open, and what it has given out. */
interface OpenHarness {
  harness: ContractHarness;
  listeners: HvListener[];
  owners: ForeignOwner[];
}

type Hand = (open: OpenHarness, request: HandRequest, signal: AbortSignal) => Promise<unknown>;

const hands = {
  listen: async ({ harness, listeners }, { vmId = '', port = 0 }) => {
    const listener = await harness.sockets.listen(vmId, port);
    return { number: listeners.push(listener) - 1, port: listener.port };
  },
  accept: async ({ listeners }, { number = -1 }, signal) => listeners[number]?.accept({ signal }),
  closeListener: async ({ listeners }, { number = -1 }) => listeners[number]?.[Symbol.asyncDispose](),
  connect: async ({ harness }, { vmId = '', port = 0 }, signal) =>
    harness.sockets.connect(vmId, port, { signal }),
  createDisk: async ({ harness }) => harness.createDisk(),
  killMonitor: async ({ harness }, { id = '' }) => harness.killMonitor(id),
  createElsewhere: async ({ harness, owners }, { id = '', document }) => {
    const owner = await harness.createElsewhere(id, document as ComputeSystemDocument);
    return { number: owners.push(owner) - 1, pid: owner.pid };
  },
  killOwner: async ({ owners }, { number = -1 }) => owners[number]?.kill(),
  endOwner: async ({ owners }, { number = -1 }) => owners[number]?.[Symbol.asyncDispose](),
  sweep: async ({ harness }) => harness.sweep(),
  leftovers: async ({ harness }) => harness.leftovers(),
} satisfies Record<string, Hand>;

/** Harnesses for the tests of one file, which come one after another: `open` and `close` are calls too. */
export class ContractHands implements AsyncDisposable {
  readonly #openHarness: () => Promise<ContractHarness>;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #open: OpenHarness | undefined;

  private constructor(openHarness: () => Promise<ContractHarness>) {
    this.#openHarness = openHarness;
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.#accept(socket));
  }

  static async start(openHarness: () => Promise<ContractHarness>): Promise<ContractHands> {
    const started = new ContractHands(openHarness);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    started.#server.once('error', reject);
    started.#server.listen(0, '127.0.0.1', resolve);
    await promise;
    return started;
  }

  get port(): number {
    const address = this.#server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  /** The service of the harness that is open when a call comes. */
  get compute(): ComputeService {
    const current = (): ComputeService => this.#current().harness.compute;
    return {
      create: async (id, document, options) => current().create(id, document, options),
      open: async (id, options) => current().open(id, options),
      enumerate: async (query, options) => current().enumerate(query, options),
      getServiceProperties: async (query, options) => current().getServiceProperties(query, options),
      modifyServiceSettings: async (request, options) => current().modifyServiceSettings(request, options),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server.close(() => resolve());
    await promise;
    await this.#closeHarness();
  }

  #current(): OpenHarness {
    if (this.#open !== undefined) return this.#open;
    throw new HcsError({
      action: 'Cannot reach the service under test',
      problem: 'no harness is open',
      code: 'HCS_E_SERVICE_NOT_AVAILABLE',
    });
  }

  #accept(socket: Socket): void {
    this.#sockets.add(socket);
    const gone = new AbortController();
    socket.on('error', () => {});
    socket.once('close', () => {
      this.#sockets.delete(socket);
      gone.abort();
    });
    const channel = new LineChannel(socket, async (request) => {
      // Nothing more comes by lines. The answer goes out by the same channel.
      channel.release();
      const send = (answer: HandAnswer) => channel.send(answer);
      try {
        const result = await this.#call(request as HandRequest, gone.signal);
        if (isStream(result)) {
          if (socket.destroyed) result.destroy();
          send({ stream: true });
          tunnel(socket, result);
          return;
        }
        send({ result: result ?? null });
      } catch (error) {
        send({ error: encodeError(error) });
      }
      socket.end();
      socket.resume();
    });
  }

  async #call(request: HandRequest, signal: AbortSignal): Promise<unknown> {
    const { hand } = request;
    if (hand === 'close') return this.#closeHarness();
    if (hand === 'open') {
      await this.#closeHarness();
      const harness = await this.#openHarness();
      this.#open = { harness, listeners: [], owners: [] };
      return { prefix: harness.id(''), document: harness.document() };
    }
    const work: Hand = hands[hand];
    return work(this.#current(), request, signal);
  }

  async #closeHarness(): Promise<void> {
    const open = this.#open;
    this.#open = undefined;
    if (open === undefined) return;
    for (const owner of open.owners) await owner.kill();
    await open.harness[Symbol.asyncDispose]();
  }
}

function isStream(value: unknown): value is Duplex {
  return typeof value === 'object' && value !== null && 'pipe' in value;
}

/** Bytes and ends go both ways; what breaks one breaks the other. */
function tunnel(socket: Socket, stream: Duplex): void {
  stream.on('error', () => socket.resetAndDestroy());
  stream.once('close', () => socket.destroySoon());
  socket.once('close', () => stream.destroy());
  socket.pipe(stream).pipe(socket);
}
