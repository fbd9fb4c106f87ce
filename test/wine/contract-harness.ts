import { connect } from 'node:net';
import type { ContractHarness, ForeignOwner } from '@hcsshim/hcs/contract';
import { createWindowsComputeService } from '@hcsshim/hcs/windows';
import type { ComputeSystemDocument } from '@hcsshim/schema';
import { decodeError } from '../../packages/engine/src/control-protocol.ts';
import { LineChannel } from '../../packages/engine/src/line-channel.ts';
import type { HandAnswer, HandRequest } from './contract-hands.ts';
import { createStandInHvSocket } from './hv-socket-stand-in.ts';

/** The service and the hvsockets of Windows through their stand-in DLLs; everything else by the hands at `port`. */
export async function openWineHarness(port: number): Promise<ContractHarness> {
  const hands = new Hands(port);
  const { prefix, document } = await hands.call<{ prefix: string; document: ComputeSystemDocument }>({
    hand: 'open',
  });
  return {
    compute: createWindowsComputeService(),
    sockets: createStandInHvSocket(),
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

class Hands {
  readonly #port: number;

  constructor(port: number) {
    this.#port = port;
  }

  async call<T>(request: HandRequest): Promise<T> {
    const socket = connect({ port: this.#port, host: '127.0.0.1', noDelay: true });
    const { promise, resolve, reject } = Promise.withResolvers<HandAnswer>();
    socket.once('error', reject);
    socket.once('close', () => reject(new Error(`The hands went away during "${request.hand}"`)));
    const channel = new LineChannel(socket, (answer) => resolve(answer as HandAnswer));
    channel.send(request);
    try {
      const answer = await promise;
      if ('error' in answer) throw decodeError(answer.error);
      return answer.result as T;
    } finally {
      socket.destroy();
    }
  }
}
