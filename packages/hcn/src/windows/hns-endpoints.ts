import {
  type ACLPolicy,
  checkDocument,
  type EndpointAttachDetachRequest,
  type EndpointStats,
  type HNSEndpoint,
  type ProxyPolicy,
} from '@hcsshim/schema/hns';
import type { CallOptions } from '../network-service.ts';
import { readShape } from './answer.ts';
import { HnsObjects, type HnsRequest, pathSegment } from './hns-request.ts';

/** The words for `HNSEndpoint.State`, by its number. */
export const hnsEndpointStates = [
  'Uninitialized',
  'Created',
  'Attached',
  'AttachedSharing',
  'Detached',
  'Degraded',
  'Destroyed',
] as const;

/** What an endpoint is attached to. A network's id in `VirtualNetwork` says where it belongs. */
export type HnsAttachment =
  | { to: 'container'; containerId: string; compartmentId?: number }
  | { to: 'host'; compartmentId?: number }
  | { to: 'virtual machine'; nicName: string };

export class HnsEndpoints extends HnsObjects<HNSEndpoint> {
  constructor(request: HnsRequest) {
    super(request, {
      noun: 'HNS endpoint',
      path: '/endpoints/',
      shape: {
        ID: 'string',
        Name: 'string',
        VirtualNetwork: 'string',
        Policies: 'list',
        IPAddress: 'string',
        MacAddress: 'string',
        SharedContainers: 'list of strings',
        State: 'number',
      },
      notFound: 'HCN_E_ENDPOINT_NOT_FOUND',
      checkDocument: (endpoint) => checkDocument('HNSEndpoint', endpoint),
    });
  }

  /** Creates an endpoint whose other end is on another host. */
  createRemote(endpoint: HNSEndpoint, options?: CallOptions): Promise<HNSEndpoint> {
    return this.create({ ...endpoint, IsRemoteEndpoint: true }, options);
  }

  /** Puts a document in the place of the one that the endpoint has. Fields that no schema knows are sent back. */
  async update(id: string, endpoint: HNSEndpoint, options: CallOptions = {}): Promise<HNSEndpoint> {
    return this.changed(
      'update',
      id,
      checkDocument('HNSEndpoint', endpoint, { allowUnknownFields: true }),
      options,
    );
  }

  /** Adds access rules to those that the endpoint has. */
  async applyAclPolicies(
    id: string,
    policies: readonly Omit<ACLPolicy, 'Type'>[],
    options?: CallOptions,
  ): Promise<HNSEndpoint> {
    const rules = policies.map((policy) => checkDocument('ACLPolicy', { ...policy, Type: 'ACL' }));
    return this.#addPolicies(id, rules, options);
  }

  /** Adds redirections to a proxy. */
  async applyProxyPolicies(
    id: string,
    policies: readonly Omit<ProxyPolicy, 'Type'>[],
    options?: CallOptions,
  ): Promise<HNSEndpoint> {
    const proxies = policies.map((policy) => checkDocument('ProxyPolicy', { ...policy, Type: 'PROXY' }));
    return this.#addPolicies(id, proxies, options);
  }

  async stats(id: string, options: CallOptions = {}): Promise<EndpointStats> {
    const action = `read the statistics of HNS endpoint "${id}"`;
    const path = `/endpointstats/${pathSegment(id, 'HNS endpoint')}`;
    const output = await this.request({ action, method: 'GET', path, ...options });
    return readShape(action, output, {
      BytesReceived: 'number',
      BytesSent: 'number',
      DroppedPacketsIncoming: 'number',
      DroppedPacketsOutgoing: 'number',
      EndpointId: 'string',
      InstanceId: 'string',
      PacketsReceived: 'number',
      PacketsSent: 'number',
    }) as unknown as EndpointStats;
  }

  /** Whether a container or VM with this id, in any letter case, uses the endpoint. */
  async isAttached(id: string, systemId: string, options?: CallOptions): Promise<boolean> {
    const { SharedContainers = [] } = await this.get(id, options);
    return (SharedContainers ?? []).some((one) => one.toLowerCase() === systemId.toLowerCase());
  }

  attach(id: string, attachment: HnsAttachment, options?: CallOptions): Promise<void> {
    return this.#change(id, 'attach', attachment, options);
  }

  /** Only what the endpoint is attached to counts: of a VM's network adapter the name, of a compartment the number do not. */
  detach(id: string, attachment: HnsAttachment, options?: CallOptions): Promise<void> {
    return this.#change(id, 'detach', attachment, options);
  }

  async #change(
    id: string,
    verb: 'attach' | 'detach',
    attachment: HnsAttachment,
    options: CallOptions = {},
  ): Promise<void> {
    const body = checkDocument('EndpointAttachDetachRequest', attachmentRequest(verb, attachment));
    const action = `${verb} HNS endpoint "${id}"`;
    await this.request({ action, method: 'POST', path: `${this.pathTo(id)}/${verb}`, body, ...options });
  }

  async #addPolicies(
    id: string,
    policies: readonly unknown[],
    options: CallOptions | undefined,
  ): Promise<HNSEndpoint> {
    const endpoint = await this.get(id, options);
    return this.update(id, { ...endpoint, Policies: [...(endpoint.Policies ?? []), ...policies] }, options);
  }
}

function attachmentRequest(
  verb: 'attach' | 'detach',
  attachment: HnsAttachment,
): EndpointAttachDetachRequest {
  if (attachment.to === 'virtual machine') {
    const name = verb === 'attach' ? { VirtualNicName: attachment.nicName } : {};
    return { SystemType: 'VirtualMachine', ...name };
  }
  const { compartmentId } = attachment;
  const compartment =
    verb === 'attach' && compartmentId !== undefined ? { CompartmentId: compartmentId } : {};
  if (attachment.to === 'host') return { SystemType: 'Host', ...compartment };
  return { SystemType: 'Container', ContainerId: attachment.containerId, ...compartment };
}
