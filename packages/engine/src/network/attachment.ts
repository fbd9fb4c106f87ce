import { aclTable } from './acl.ts';
import { attachInterface, detachInterface } from './interface.ts';
import { routesOf } from './interface-routes.ts';
import { allRoutes, endpointsInNamespace, isRemote } from './lookups.ts';
import type { EndpointRecord } from './network-records.ts';
import type { NetworkState } from './network-state.ts';
import { Refusal } from './refusal.ts';

/** Puts an endpoint into a namespace, in the kernel and in its record. */
export function attach(
  state: NetworkState,
  endpoint: EndpointRecord,
  namespaceId: string,
  undo: DisposableStack,
): void {
  const { ID: id } = endpoint.document;
  if (isRemote(endpoint.document))
    throw new Refusal('HCN_E_ENDPOINT_NOT_LOCAL', `endpoint "${id}" is on another host`);
  if (endpoint.attachment !== undefined)
    throw new Refusal(
      'HCN_E_ENDPOINT_NAMESPACE_ALREADY_EXISTS',
      `endpoint "${id}" is in namespace "${endpoint.attachment.namespaceId}", detach it there first`,
    );
  const last = endpointsInNamespace(state, namespaceId).at(-1)?.attachment.order ?? 0;
  const interfaceName = connect(state, endpoint, { namespaceId }, undo);
  const attachment = { namespaceId, interfaceName, order: last + 1 };
  state.write('endpoints', { ...endpoint, attachment }, undo);
}

/** Takes an endpoint out of its namespace. What packet filters say of its interface is for nobody then. */
export function detach(state: NetworkState, endpoint: EndpointRecord, undo?: DisposableStack): void {
  const { attachment, ...detached } = endpoint;
  if (attachment === undefined) return;
  undo?.defer(() => reconnect(state, endpoint, attachment));
  detachInterface(endpoint.document.ID);
  state.write('endpoints', detached, undo);
}

/** Makes again what the kernel had of an attached endpoint. */
export function reconnect(
  state: NetworkState,
  endpoint: EndpointRecord,
  attachment: NonNullable<EndpointRecord['attachment']>,
): void {
  using undo = new DisposableStack();
  connect(state, endpoint, attachment, undo);
  undo.move();
}

function connect(
  state: NetworkState,
  { document }: EndpointRecord,
  { namespaceId, interfaceName }: { namespaceId: string; interfaceName?: string },
  undo: DisposableStack,
): string {
  const others = endpointsInNamespace(state, namespaceId)
    .filter((one) => one.document.ID !== document.ID)
    .map((one) => ({ document: one.document, interfaceName: one.attachment.interfaceName }));
  return attachInterface(
    {
      endpoint: document,
      networkId: document.HostComputeNetwork ?? '',
      namespacePath: state.namespacePath(namespaceId),
      routes: routesOf(document, allRoutes(state)),
      ...(interfaceName === undefined ? {} : { interfaceName }),
      filter: (name) => aclTable([...others, { document, interfaceName: name }]),
      stateRoot: state.root,
    },
    undo,
  );
}
