import { HcsError } from '@hcsshim/schema';
import { checkDocument } from '@hcsshim/schema/hns';
import type { CallOptions } from '../network-service.ts';
import { badAnswer, readShape } from './answer.ts';
import type { HnsMethod } from './hns-call.ts';
import type { HnsRequest } from './hns-request.ts';

/** The MAC addresses that NNV, accelerated networking, leaves to the host. Each call gives the list as it is then. */
export class HnsManagementMacs {
  readonly #request: HnsRequest;

  constructor(request: HnsRequest) {
    this.#request = request;
  }

  /** Puts a list in the place of the one that is there; `delete` is what leaves none. */
  async set(addresses: readonly string[], options?: CallOptions): Promise<string[]> {
    if (addresses.length === 0) {
      throw new HcsError({
        action: 'Cannot set the management MAC addresses',
        problem: 'the list is empty, give one at least, or delete the list',
        code: 'E_INVALIDARG',
      });
    }
    const body = checkDocument('HNSNnvManagementMacList', {
      MacAddressList: addresses.map((MacAddress) => ({ MacAddress })),
    });
    return this.#send('set', 'POST', body, options);
  }

  get(options?: CallOptions): Promise<string[]> {
    return this.#send('read', 'GET', undefined, options);
  }

  delete(options?: CallOptions): Promise<string[]> {
    return this.#send('delete', 'DELETE', undefined, options);
  }

  async #send(verb: string, method: HnsMethod, body: unknown, options: CallOptions = {}): Promise<string[]> {
    const action = `${verb} the management MAC addresses`;
    const output = await this.#request({ action, method, path: '/accelnet/', body, ...options });
    if (output === undefined) return [];
    const { MacAddressList: list } = readShape(action, output, { MacAddressList: 'list' });
    return ((list ?? []) as { MacAddress?: unknown }[]).map(({ MacAddress }) => {
      if (typeof MacAddress !== 'string') throw badAnswer(action, 'has an entry without a "MacAddress"');
      return MacAddress;
    });
  }
}
