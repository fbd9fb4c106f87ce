import { connect, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { HvListener, HvSocket } from '@hcsshim/bridge';
import type { ContractHarness, ForeignOwner } from '@hcsshim/hcs/contract';
import { createWindowsComputeService } from '@hcsshim/hcs/windows';
import type { ComputeSystemDocument } from '@hcsshim/schema';
import { decodeError } from '../../packages/engine/src/control-protocol.ts';
import { LineChannel } from '../../packages/engine/src/line-channel.ts';
import type { HandAnswer, HandRequest } from './contract-hands.ts';

/** The service of Windows through the stand-in DLL; everything else by the hands at `port`. */
export async function openWineHarness(port: number): Promise<ContractHarness> {
  const hands = new Hands(port);
  const { prefix, document } = await hands.call<{ prefix: string; document: ComputeSystemDocument }>({
    hand: 'open',
  });
  return {
    compute: createWindowsComputeService(),
    sockets: new TunnelledHvSocket(hands),
    id: (name) => `${prefix}${name}`,
    document: (changes = {}) => ({ ...document, ...changes }),
    createDisk: () => hands.call({ hand: 'createDisk' }),
    killMonitor: (id) => hands.call({ hand: 'killMonitor', id }),
    createElsewhere: async (id, foreign) => {
      const { number, pid } = await hands.call<{ number: number; pid: number }>({
        hand: 'createElsewhere',
        id,
        document: foreign,
      });
      return {
        pid,
        kill: () => hands.call({ hand: 'killOwner', number }),
        [Symbol.asyncDispose]: () => hands.call({ hand: 'endOwner', number }),
      } satisfies ForeignOwner;
    },
    sweep: () => hands.call({ hand: 'sweep' }),
    leftovers: () => hands.call({ hand: 'leftovers' }),
    [Symbol.asyncDispose]: () => hands.call({ hand: 'close' }),
  };
}

/** Sockets of the engine on Linux, their bytes over loopback TCP. */
class TunnelledHvSocket implements HvSocket {
  readonly #hands: Hands;

  constructor(hands: Hands) {
    this.#hands = hands;
  }

  async listen(vmId: string, port: number): Promise<HvListener> {
    const { number, port: listening } = await this.#hands.call<{ number: number; port: number }>({
      hand: 'listen',
      vmId,
      port,
    });
    return {
      port: listening,
      accept: ({ signal } = {}) => this.#hands.stream({ hand: 'accept', number }, signal),
      [Symbol.asyncDispose]: () => this.#hands.call({ hand: 'closeListener', number }),
    };
  }

  connect(vmId: string, port: number, { signal }: { signal?: AbortSignal } = {}): Promise<Duplex> {
    return this.#hands.stream({ hand: 'connect', vmId, port }, signal);
  }
}

class Hands {
  readonly #port: number;

  constructor(port: number) {
    this.#port = port;
  }

  async call<T>(request: HandRequest): Promise<T> {
    const { socket, answer } = await this.#ask(request);
    socket.destroy();
    if ('result' in answer) return answer.result as T;
    throw new Error(`Cannot use the answer to "${request.hand}": it is a stream`);
  }

  async stream(request: HandRequest, signal?: AbortSignal): Promise<Duplex> {
    const { socket, answer } = await this.#ask(request, signal);
    if ('stream' in answer) return socket;
    throw new Error(`Cannot use the answer to "${request.hand}": it is no stream`);
  }

  async #ask(request: HandRequest, signal?: AbortSignal): Promise<{ socket: Socket; answer: HandAnswer }> {
    signal?.throwIfAborted();
    const socket = connect({ port: this.#port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
    const { promise, resolve, reject } = Promise.withResolvers<HandAnswer>();
    const abort = (): void => reject(signal?.reason);
    signal?.addEventListener('abort', abort, { once: true });
    socket.once('error', reject);
    socket.once('close', () => reject(new Error(`The hands went away during "${request.hand}"`)));
    const channel = new LineChannel(socket, (answer) => {
      channel.release();
      resolve(answer as HandAnswer);
    });
    channel.send(request);
    try {
      const answer = await promise;
      if ('error' in answer) throw decodeError(answer.error);
      return { socket, answer };
    } catch (error) {
      socket.destroy();
      throw error;
    } finally {
      signal?.removeEventListener('abort', abort);
      socket.off('error', reject);
    }
  }
}
