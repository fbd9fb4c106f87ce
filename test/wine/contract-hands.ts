import { createServer, type Server, type Socket } from 'node:net';
import type { HvSocket } from '@hcsshim/bridge';
import { type ComputeService, HcsError } from '@hcsshim/hcs';
import type { ContractHarness, ForeignOwner } from '@hcsshim/hcs/contract';
import type { ComputeSystemDocument } from '@hcsshim/schema';
import { encodeError } from '../../packages/engine/src/control-protocol.ts';
import { LineChannel } from '../../packages/engine/src/line-channel.ts';

/**
 * What a contract test under Wine does where its DLLs do not reach: what no caller can do. Each call has a
 * connection of its own, over loopback TCP: one line there, one line back.
 */
export interface HandRequest {
  hand: 'open' | 'close' | keyof typeof hands;
  /** Number of an owner that an earlier call gave. */
  number?: number;
  id?: string;
  document?: ComputeSystemDocument;
}

export type HandAnswer = { result: unknown } | { error: ReturnType<typeof encodeError> };

/** A harness that is open, and what it has given out. */
interface OpenHarness {
  harness: ContractHarness;
  owners: ForeignOwner[];
}

type Hand = (open: OpenHarness, request: HandRequest) => Promise<unknown>;

const hands = {
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
    };
  }

  /** Its hvsockets likewise. */
  get sockets(): HvSocket {
    return {
      listen: async (vmId, port) => this.#current().harness.sockets.listen(vmId, port),
      connect: async (vmId, port, options) => this.#current().harness.sockets.connect(vmId, port, options),
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
    socket.on('error', () => {});
    socket.once('close', () => this.#sockets.delete(socket));
    const channel = new LineChannel(socket, async (request) => {
      // Nothing more comes by lines. The answer goes out by the same channel.
      channel.release();
      const send = (answer: HandAnswer) => channel.send(answer);
      try {
        const result = await this.#call(request as HandRequest);
        send({ result: result ?? null });
      } catch (error) {
        send({ error: encodeError(error) });
      }
      socket.end();
      socket.resume();
    });
  }

  async #call(request: HandRequest): Promise<unknown> {
    const { hand } = request;
    if (hand === 'close') return this.#closeHarness();
    if (hand === 'open') {
      await this.#closeHarness();
      const harness = await this.#openHarness();
      this.#open = { harness, owners: [] };
      return { prefix: harness.id(''), document: harness.document() };
    }
    const work: Hand = hands[hand];
    return work(this.#current(), request);
  }

  async #closeHarness(): Promise<void> {
    const open = this.#open;
    this.#open = undefined;
    if (open === undefined) return;
    for (const owner of open.owners) await owner.kill();
    await open.harness[Symbol.asyncDispose]();
  }
}
