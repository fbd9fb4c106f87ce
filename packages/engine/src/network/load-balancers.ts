import type { Stored } from '@hcsshim/hcn';
import { checkDocument, type HostComputeLoadBalancer } from '@hcsshim/schema/hcn';
import { filterByLoadBalancer, removeLoadBalancer } from './filters.ts';
import { namedEndpoint } from './lookups.ts';
import type { NetworkState } from './network-state.ts';
import { checkLoadBalancer } from './packet-filter.ts';
import type { ObjectKind } from './stored-objects.ts';

export function loadBalancerKind(
  state: NetworkState,
): ObjectKind<'load-balancers', HostComputeLoadBalancer, HostComputeLoadBalancer> {
  const make = (document: Stored<HostComputeLoadBalancer>): Stored<HostComputeLoadBalancer> => {
    checkLoadBalancer(document);
    const endpoints = (document.HostComputeEndpoints ?? []).map((id) => namedEndpoint(state, id));
    const balancer = { ...document, HostComputeEndpoints: endpoints.map((one) => one.document.ID) };
    filterByLoadBalancer(state, balancer);
    return balancer;
  };
  return {
    kind: 'load-balancers',
    noun: 'load balancer',
    nouns: 'load balancers',
    notFound: 'ERROR_NOT_FOUND',
    alreadyExists: 'ERROR_ALREADY_EXISTS',
    checkDocument: (document) => checkDocument('HostComputeLoadBalancer', document),
    checkRequest: (document) => checkDocument('HostComputeLoadBalancer', document),
    create(document, undo) {
      undo.defer(() => removeLoadBalancer(document.ID));
      return { version: 1, document: make(document) };
    },
    modify(record, document, undo) {
      undo.defer(() => filterByLoadBalancer(state, record.document));
      return { ...record, document: make({ ...record.document, ...document, ID: record.document.ID }) };
    },
    delete: ({ document }) => removeLoadBalancer(document.ID),
  };
}
