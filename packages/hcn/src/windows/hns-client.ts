import { HcsError } from '@hcsshim/schema';
import {
  checkDocument,
  type ELBPolicy,
  type HNSNetwork,
  type PolicyList,
  type RoutePolicy,
} from '@hcsshim/schema/hns';
import type { HnsVersion } from '../features.ts';
import type { CallOptions } from '../network-service.ts';
import { badAnswer } from './answer.ts';
import { type HnsCall, windowsHnsCall } from './hns-call.ts';
import { HnsEndpoints } from './hns-endpoints.ts';
import { HnsManagementMacs } from './hns-management-macs.ts';
import { HnsNamespaces } from './hns-namespaces.ts';
import { HnsObjects, type HnsRequest, sendHnsRequest } from './hns-request.ts';

/** The Host Network Service's first interface, which old programs and some functions still need. */
export interface HnsClient {
  /**
   * Makes a request of one's own. Gives what the answer's envelope has as output, undefined where it has none;
   * a failure that the envelope tells of rejects with the service's words.
   *
   * @param body Sent as JSON. @default nothing
   */
  request(
    method: 'GET' | 'POST' | 'DELETE',
    path: string,
    body?: unknown,
    options?: CallOptions,
  ): Promise<unknown>;
  version(options?: CallOptions): Promise<HnsVersion>;
  readonly networks: HnsNetworks;
  readonly endpoints: HnsEndpoints;
  readonly policyLists: HnsPolicyLists;
  readonly namespaces: HnsNamespaces;
  /** Management MAC addresses for accelerated networking. Feature `Accelnet`. */
  readonly managementMacs: HnsManagementMacs;
}

/** @param options.hnsCall How requests are made. @default `HNSCall` of `vmcompute.dll` */
export function createHnsClient({ hnsCall = windowsHnsCall }: { hnsCall?: HnsCall } = {}): HnsClient {
  const request: HnsRequest = (call) => sendHnsRequest(hnsCall, call);
  return {
    request: (method, path, body, options) =>
      request({ action: `request ${method} ${path}`, method, path, body, ...options }),
    version: (options) => readVersion(request, options),
    networks: new HnsNetworks(request),
    endpoints: new HnsEndpoints(request),
    policyLists: new HnsPolicyLists(request),
    namespaces: new HnsNamespaces(request),
    managementMacs: new HnsManagementMacs(request),
  };
}

async function readVersion(request: HnsRequest, options: CallOptions = {}): Promise<HnsVersion> {
  const action = 'read the version of the Host Network Service';
  const output = await request({ action, method: 'GET', path: '/globals/version', ...options });
  const { Major, Minor } = (output ?? {}) as Record<string, unknown>;
  if (isCount(Major) && isCount(Minor)) return { Major, Minor };
  throw badAnswer(action, 'is no version');
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

class HnsNetworks extends HnsObjects<HNSNetwork> {
  constructor(request: HnsRequest) {
    super(request, {
      noun: 'HNS network',
      path: '/networks/',
      shape: { ID: 'string', Name: 'string', Type: 'string', Policies: 'list', Subnets: 'list' },
      notFound: 'HCN_E_NETWORK_NOT_FOUND',
      checkDocument: (network) => {
        checkDocument('HNSNetwork', network);
        for (const { AddressPrefix, GatewayAddress } of network.Subnets ?? []) {
          if (!AddressPrefix || GatewayAddress) continue;
          throw new HcsError({
            action: 'Cannot use the document "HNSNetwork"',
            problem: `subnet "${AddressPrefix}" has no "GatewayAddress"`,
            code: 'HCN_E_INVALID_SUBNET',
          });
        }
      },
    });
  }
}

/** Load balancers and routes, for lists of endpoints. */
class HnsPolicyLists extends HnsObjects<PolicyList> {
  constructor(request: HnsRequest) {
    super(request, {
      noun: 'HNS policy list',
      path: '/policylists/',
      shape: { ID: 'string', References: 'list of strings', Policies: 'list' },
      notFound: 'ERROR_NOT_FOUND',
      checkDocument: (list) => checkDocument('PolicyList', list),
    });
  }

  /** A load balancer over endpoints. */
  async addLoadBalancer(
    endpointIds: readonly string[],
    policy: Omit<ELBPolicy, 'Type'>,
    options?: CallOptions,
  ): Promise<PolicyList> {
    const balancer = checkDocument('ELBPolicy', { ...policy, Type: 'ELB' });
    return this.create({ References: endpointIds.map(referenceTo), Policies: [balancer] }, options);
  }

  async addRoute(
    endpointIds: readonly string[],
    policy: Omit<RoutePolicy, 'Type'>,
    options?: CallOptions,
  ): Promise<PolicyList> {
    const route = checkDocument('RoutePolicy', { ...policy, Type: 'ROUTE' });
    return this.create({ References: endpointIds.map(referenceTo), Policies: [route] }, options);
  }

  /** Deletes the list and creates it with one endpoint more. */
  async addEndpoint(id: string, endpointId: string, options?: CallOptions): Promise<PolicyList> {
    const list = await this.get(id, options);
    const references = list.References ?? [];
    return this.#replace(list, [...references, referenceTo(endpointId)], options);
  }

  /** Deletes the list and creates it without an endpoint. */
  async removeEndpoint(id: string, endpointId: string, options?: CallOptions): Promise<PolicyList> {
    const list = await this.get(id, options);
    const gone = referenceTo(endpointId).toLowerCase();
    const others = (list.References ?? []).filter((reference) => reference.toLowerCase() !== gone);
    return this.#replace(list, others, options);
  }

  /** A failure brings the old list back. */
  async #replace(
    { ID = '', References = [], Policies = [] }: PolicyList,
    references: string[],
    options: CallOptions | undefined,
  ): Promise<PolicyList> {
    await this.delete(ID, options);
    try {
      return await this.create({ ID, References: references, Policies }, options);
    } catch (error) {
      await this.create({ ID, References, Policies }).catch(() => {});
      throw error;
    }
  }
}

function referenceTo(endpointId: string): string {
  return `/endpoints/${endpointId}`;
}

export type { HnsNetworks, HnsPolicyLists };
