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
      // Recorded first: a maker that dies leaves a record by which the rest is made, not routes of nobody.
      state.write('routes', { version: 1, document: route }, undo);
      for (const { document: endpoint, attachment } of endpoints) {
        const [before, after] = [routesOf(endpoint, others), routesOf(endpoint, [...others, route])];
        undo.defer(() => changeRoutesOf(state, attachment, after, before));
        changeRoutesOf(state, attachment, before, after);
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
        const { document: endpoint, attachment } = state.read('endpoints', id) ?? {};
        if (endpoint === undefined) continue;
        changeRoutesOf(state, attachment, routesOf(endpoint, all), routesOf(endpoint, others));
      }
    },
  };
}

/** An endpoint that is nowhere gets its routes when it is attached. */
function changeRoutesOf(
  state: NetworkState,
  attachment: EndpointRecord['attachment'],
  before: readonly InterfaceRoute[],
  after: readonly InterfaceRoute[],
): void {
  if (attachment === undefined) return;
  const { namespaceId, interfaceName } = attachment;
  changeRoutes({ namespacePath: state.namespacePath(namespaceId), interfaceName }, before, after);
}

/** Makes the routes again that an attached endpoint should have and has not. */
export function makeRoutes(state: NetworkState, { document, attachment }: EndpointRecord): void {
  changeRoutesOf(state, attachment, [], routesOf(document, allRoutes(state)));
}
