import type { CallOptions } from '../network-service.ts';
import { badAnswer, readShape } from './answer.ts';
import { type HnsRequest, pathSegment } from './hns-request.ts';

/** Namespaces of the first interface. */
export class HnsNamespaces {
  readonly #request: HnsRequest;

  constructor(request: HnsRequest) {
    this.#request = request;
  }

  /** Gives the id of a new namespace. */
  async create(options: CallOptions = {}): Promise<string> {
    const action = 'create an HNS namespace';
    const output = await this.#request({
      action,
      method: 'POST',
      path: '/namespaces/',
      body: {},
      ...options,
    });
    const { ID: id } = readShape(action, output, { ID: 'string' });
    if (typeof id !== 'string') throw badAnswer(action, 'has no "ID"');
    return id;
  }

  async remove(id: string, options: CallOptions = {}): Promise<void> {
    await this.#request({
      action: `delete HNS namespace "${id}"`,
      method: 'DELETE',
      path: pathTo(id),
      ...options,
    });
  }

  async endpointIds(id: string, options: CallOptions = {}): Promise<string[]> {
    const action = `open HNS namespace "${id}"`;
    const output = await this.#request({ action, method: 'GET', path: pathTo(id), ...options });
    const { ResourceList: list } = readShape(action, output, { ResourceList: 'list' });
    return ((list ?? []) as { Type?: unknown; Data?: { Id?: unknown } | null }[]).flatMap(({ Type, Data }) =>
      Type === 'Endpoint' && typeof Data?.Id === 'string' ? [Data.Id] : [],
    );
  }

  async addEndpoint(id: string, endpointId: string, options: CallOptions = {}): Promise<void> {
    await this.#change(id, 'addresource', endpointId, options);
  }

  async removeEndpoint(id: string, endpointId: string, options: CallOptions = {}): Promise<void> {
    await this.#change(id, 'removeresource', endpointId, options);
  }

  async #change(
    id: string,
    verb: 'addresource' | 'removeresource',
    endpointId: string,
    options: CallOptions,
  ): Promise<void> {
    await this.#request({
      action: `${verb === 'addresource' ? 'attach an endpoint to' : 'detach an endpoint from'} HNS namespace "${id}"`,
      method: 'POST',
      path: `${pathTo(id)}/${verb}`,
      body: { Type: 'Endpoint', Data: { Id: endpointId } },
      ...options,
    });
  }
}

function pathTo(id: string): string {
  return `/namespaces/${pathSegment(id, 'HNS namespace')}`;
}
