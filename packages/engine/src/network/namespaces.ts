import { existsSync } from 'node:fs';
import type { Stored } from '@hcsshim/hcn';
import {
  changeLink,
  createNetworkNamespace,
  NetlinkSocket,
  networkNamespaceInode,
  removeNetworkNamespace,
} from '@hcsshim/linux/netlink';
import {
  checkDocument,
  type HostComputeNamespace,
  type ModifyNamespaceSettingRequest,
  type NamespaceResource,
  type NamespaceType,
} from '@hcsshim/schema/hcn';
import { attach, detach } from './attachment.ts';
import { type AttachedEndpoint, attachedEndpoints, endpointsInNamespace, namedEndpoint } from './lookups.ts';
import type { NamespaceRecord } from './network-records.ts';
import type { NetworkState } from './network-state.ts';
import { notSupported, Refusal } from './refusal.ts';
import type { ObjectKind } from './stored-objects.ts';

export function namespaceKind(
  state: NetworkState,
): ObjectKind<'namespaces', HostComputeNamespace, ModifyNamespaceSettingRequest> {
  return {
    kind: 'namespaces',
    noun: 'namespace',
    nouns: 'namespaces',
    notFound: 'ERROR_NOT_FOUND',
    alreadyExists: 'ERROR_ALREADY_EXISTS',
    events: { created: 'NamespaceCreate', deleted: 'NamespaceDelete' },
    checkDocument: (document) => checkDocument('HostComputeNamespace', document),
    checkRequest: (request) => {
      checkDocument('ModifyNamespaceSettingRequest', request);
      if (request.ResourceType === 'Endpoint')
        checkDocument('NamespaceEndpointRequest', request.Settings ?? {});
      if (request.ResourceType === 'Container')
        checkDocument('NamespaceContainerRequest', request.Settings ?? {});
    },
    tell(records) {
      const attached = attachedEndpoints(state);
      return records.map(({ document }) => ({
        ...document,
        Resources: [...endpointResources(attached, document.ID), ...(document.Resources ?? [])],
      }));
    },
    create(document, undo) {
      const { ID: id, Type: type = 'Host', Resources = [] } = document;
      if (Resources.some((one) => one.Type === 'Endpoint'))
        throw new Refusal('E_INVALIDARG', 'a new namespace has no endpoints, attach them afterwards');
      checkType(state, type);
      if (type === 'Host') makeNamespace(state, id, undo);
      return { version: 1, document: describe(state, { ...document, Type: type, Resources }) };
    },
    modify: (record, request, undo) => modifyNamespace(state, record, request, undo),
    delete({ document }) {
      for (const endpoint of endpointsInNamespace(state, document.ID)) detach(state, endpoint);
      removeNamespace(state, document.ID);
    },
  };
}

function checkType(state: NetworkState, type: NamespaceType): void {
  if (type !== 'HostDefault') return;
  const other = state.list('namespaces').find(({ document }) => document.Type === type);
  if (other !== undefined)
    throw new Refusal(
      'ERROR_ALREADY_EXISTS',
      `"${other.document.ID}" stands for the host's namespace already`,
    );
}

/** Makes the network namespace, with its loopback up. */
export function makeNamespace(state: NetworkState, id: string, undo: DisposableStack): void {
  const path = state.namespacePath(id);
  createNetworkNamespace(path, () => {
    using socket = NetlinkSocket.open('route');
    changeLink(socket, 'lo', { up: true });
  });
  undo.defer(() => removeNamespace(state, id));
}

/** What is not there is no error. */
export function removeNamespace(state: NetworkState, id: string): void {
  const path = state.namespacePath(id);
  if (existsSync(path)) removeNetworkNamespace(path);
}

/**
 * The document with where the namespace is. `NamespaceId` tells namespaces apart that exist, as the number of a
 * compartment does on Windows: it is the inode's number. That of a guest is made in the VM, nothing of it is here.
 */
export function describe(
  state: NetworkState,
  document: Stored<HostComputeNamespace>,
): Stored<HostComputeNamespace> {
  const { ID: id, Type: type, AdditionalParams: given } = document;
  if (type === 'HostDefault') return { ...document, NamespaceId: networkNamespaceInode() };
  if (type !== 'Host') return document;
  const path = state.namespacePath(id);
  const others = typeof given === 'object' && given !== null ? given : {};
  return {
    ...document,
    NamespaceId: networkNamespaceInode(path),
    AdditionalParams: { ...others, [pathParameter]: path },
  };
}

const pathParameter = 'NetworkNamespacePath';

/** The file of a namespace of type Host, as runtimes take it; undefined for other types. */
export function networkNamespacePath({ AdditionalParams }: HostComputeNamespace): string | undefined {
  const path = (AdditionalParams as Record<string, unknown> | undefined)?.[pathParameter];
  return typeof path === 'string' ? path : undefined;
}

function modifyNamespace(
  state: NetworkState,
  record: NamespaceRecord,
  request: ModifyNamespaceSettingRequest,
  undo: DisposableStack,
): NamespaceRecord {
  const { RequestType: type = 'Add', ResourceType: resource, Settings = {} } = request;
  if (type === 'Refresh') return record;
  if (type === 'Add' || type === 'Remove') {
    if (resource === 'Container') {
      const { ContainerId = '' } = Settings as { ContainerId?: string };
      const Resources = changeContainers(record.document.Resources ?? [], ContainerId, type);
      return { ...record, document: { ...record.document, Resources } };
    }
    if (resource === 'Endpoint') {
      const { EndpointId = '' } = Settings as { EndpointId?: string };
      const endpoint = namedEndpoint(state, EndpointId);
      const { ID: id } = record.document;
      if (type === 'Add') {
        assertTakesEndpoints(record.document);
        attach(state, endpoint, id, undo);
      } else {
        if (endpoint.attachment?.namespaceId !== id)
          throw new Refusal('ERROR_NOT_FOUND', `endpoint "${endpoint.document.ID}" is not in the namespace`);
        detach(state, endpoint, undo);
      }
      return record;
    }
  }
  throw notSupported(`the request "${type}" of "${resource}" is not carried out for namespaces on Linux`);
}

function changeContainers(
  resources: readonly NamespaceResource[],
  id: string,
  change: 'Add' | 'Remove',
): NamespaceResource[] {
  const others = resources.filter((one) => one.Type !== 'Container' || one.Data?.Id !== id);
  if (change === 'Add') return [...others, { Type: 'Container', Data: { Id: id } }];
  if (others.length === resources.length)
    throw new Refusal('ERROR_NOT_FOUND', `container "${id}" is not in the namespace`);
  return others;
}

const whyNotAttached: Partial<Record<NamespaceType, string>> = {
  HostDefault:
    'the host reaches a network through its bridge, an interface more would take its default route',
  Guest: 'it is in a VM, and VMs have no network adapters on Linux',
  GuestDefault: 'it is in a VM, and VMs have no network adapters on Linux',
};

/** Throws ERROR_NOT_SUPPORTED for a namespace of a type that takes no endpoint. */
function assertTakesEndpoints({ Type: type = 'Host' }: HostComputeNamespace): void {
  const reason = whyNotAttached[type];
  if (reason !== undefined) throw notSupported(`a namespace of type "${type}" takes no endpoint: ${reason}`);
}

function endpointResources(attached: readonly AttachedEndpoint[], namespaceId: string): NamespaceResource[] {
  return attached
    .filter(({ attachment }) => attachment.namespaceId === namespaceId)
    .map(({ document }) => ({ Type: 'Endpoint', Data: { Id: document.ID } }));
}
