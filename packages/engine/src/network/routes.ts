import { faultOfRoute } from '@hcsshim/hcn';
import { checkDocument, type HostComputeRoute } from '@hcsshim/schema/hcn';
import { changeRoutes } from './interface.ts';
import { checkRoute, type InterfaceRoute, routesOf } from './interface-routes.ts';
import { allRoutes, namedEndpoint } from './lookups.ts';
import type { EndpointRecord } from './network-records.ts';
import type { NetworkState } from './network-state.ts';
import { notSupported } from './refusal.ts';
import type { ObjectKind } from './stored-objects.ts';

export function routeKind(state: NetworkState): ObjectKind<'routes', HostComputeRoute, never> {
  return {
    kind: 'routes',
    noun: 'route',
    nouns: 'routes',
    notFound: 'ERROR_NOT_FOUND',
    alreadyExists: 'ERROR_ALREADY_EXISTS',
    checkDocument: (document) => checkDocument('HostComputeRoute', document),
    faultOf: faultOfRoute,
    checkRequest: () => {},
    create(document, undo) {
      const endpoints = (document.HostComputeEndpoints ?? []).map((id) => namedEndpoint(state, id));
      checkRoute(
        document,
        endpoints.map((one) => one.document),
      );
      const route = { ...document, HostComputeEndpoints: endpoints.map((one) => one.document.ID) };
      const others = allRoutes(state);
      for (const endpoint of endpoints) {
        const [before, after] = [
          routesOf(endpoint.document, others),
          routesOf(endpoint.document, [...others, route]),
        ];
        undo.defer(() => change(state, endpoint, after, before));
        change(state, endpoint, before, after);
      }
      return { version: 1, document: route };
    },
    modify() {
      throw notSupported('routes cannot be changed, delete and create them');
    },
    delete({ document }) {
      const all = allRoutes(state);
      const others = all.filter(({ ID }) => ID !== document.ID);
      for (const id of document.HostComputeEndpoints ?? []) {
        const endpoint = state.read('endpoints', id);
        if (endpoint === undefined) continue;
        change(state, endpoint, routesOf(endpoint.document, all), routesOf(endpoint.document, others));
      }
    },
  };
}

/** An endpoint that is nowhere gets its routes when it is attached. */
function change(
  state: NetworkState,
  { attachment }: EndpointRecord,
  before: readonly InterfaceRoute[],
  after: readonly InterfaceRoute[],
): void {
  if (attachment === undefined) return;
  const namespacePath = state.namespacePath(attachment.namespaceId);
  changeRoutes({ namespacePath, interfaceName: attachment.interfaceName }, before, after);
}
