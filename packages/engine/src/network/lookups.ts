import { EndpointFlags, type Stored } from '@hcsshim/hcn';
import type { HostComputeEndpoint, HostComputeRoute } from '@hcsshim/schema/hcn';
import type { EndpointRecord } from './network-records.ts';
import type { NetworkState } from './network-state.ts';
import { Refusal } from './refusal.ts';
import { isGuid } from './stored-objects.ts';

/** An endpoint that a document names. Throws HCN_E_ENDPOINT_NOT_FOUND. */
export function namedEndpoint(state: NetworkState, id: string): EndpointRecord {
  const record = isGuid(id) ? state.read('endpoints', id.toLowerCase()) : undefined;
  if (record !== undefined) return record;
  throw new Refusal('HCN_E_ENDPOINT_NOT_FOUND', `no endpoint has the id "${id}"`);
}

export function endpointsOfNetwork(state: NetworkState, networkId: string): Stored<HostComputeEndpoint>[] {
  return allEndpoints(state).filter(({ HostComputeNetwork }) => HostComputeNetwork === networkId);
}

export function allEndpoints(state: NetworkState): Stored<HostComputeEndpoint>[] {
  return state.list('endpoints').map(({ document }) => document);
}

export type AttachedEndpoint = EndpointRecord & Required<Pick<EndpointRecord, 'attachment'>>;

/** Of all namespaces; of each in the order in which they came. */
export function attachedEndpoints(state: NetworkState): AttachedEndpoint[] {
  return state
    .list('endpoints')
    .filter((record): record is AttachedEndpoint => record.attachment !== undefined)
    .sort((one, other) => one.attachment.order - other.attachment.order);
}

export function endpointsInNamespace(state: NetworkState, namespaceId: string): AttachedEndpoint[] {
  return attachedEndpoints(state).filter(({ attachment }) => attachment.namespaceId === namespaceId);
}

export function allRoutes(state: NetworkState): Stored<HostComputeRoute>[] {
  return state.list('routes').map(({ document }) => document);
}

/** A remote endpoint is on another host: its addresses are as they are there, and it has no link here. */
export function isRemote({ Flags = 0 }: HostComputeEndpoint): boolean {
  return (Flags & EndpointFlags.RemoteEndpoint) !== 0;
}
