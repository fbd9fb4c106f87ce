import type { HostComputeNamespace, NamespaceResourceType, NamespaceType } from '@hcsshim/schema/hcn';
import type { CallOptions, NetworkService } from './network-service.ts';
import { schemaVersion } from './queries.ts';

/** The document for a new namespace. */
export function newNamespace(type: NamespaceType): HostComputeNamespace {
  return { Type: type, SchemaVersion: schemaVersion };
}

/** Throws HCN_E_ENDPOINT_NAMESPACE_ALREADY_EXISTS for an endpoint that is in a namespace. */
export async function attachEndpoint(
  { namespaces }: NetworkService,
  namespaceId: string,
  endpointId: string,
  options?: CallOptions,
): Promise<void> {
  const Settings = { EndpointId: endpointId };
  await namespaces.modify(namespaceId, { ResourceType: 'Endpoint', RequestType: 'Add', Settings }, options);
}

/** Throws ERROR_NOT_FOUND for an endpoint that is not in this namespace. */
export async function detachEndpoint(
  { namespaces }: NetworkService,
  namespaceId: string,
  endpointId: string,
  options?: CallOptions,
): Promise<void> {
  const Settings = { EndpointId: endpointId };
  await namespaces.modify(
    namespaceId,
    { ResourceType: 'Endpoint', RequestType: 'Remove', Settings },
    options,
  );
}

/** Ids of the endpoints in a namespace. */
export function namespaceEndpointIds(
  service: NetworkService,
  namespaceId: string,
  options?: CallOptions,
): Promise<string[]> {
  return resourceIds(service, namespaceId, 'Endpoint', options);
}

/** Ids of the containers in a namespace. */
export function namespaceContainerIds(
  service: NetworkService,
  namespaceId: string,
  options?: CallOptions,
): Promise<string[]> {
  return resourceIds(service, namespaceId, 'Container', options);
}

async function resourceIds(
  { namespaces }: NetworkService,
  namespaceId: string,
  type: NamespaceResourceType,
  options: CallOptions | undefined,
): Promise<string[]> {
  const { Resources } = await namespaces.open(namespaceId, options);
  return (Resources ?? []).flatMap((resource) => {
    if (resource.Type !== type) return [];
    // Both spellings are met.
    const { Id, ID } = (resource.Data ?? {}) as { Id?: unknown; ID?: unknown };
    const id = Id ?? ID;
    return typeof id === 'string' ? [id] : [];
  });
}
