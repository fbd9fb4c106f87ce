import type { HnsVersion, NetworkService } from '@hcsshim/hcn';
import { defaultStateDirectory } from '../default-state-directory.ts';
import { endpointKind } from './endpoints.ts';
import { loadBalancerKind } from './load-balancers.ts';
import { namespaceKind } from './namespaces.ts';
import { NetworkState } from './network-state.ts';
import { networkKind } from './networks.ts';
import { recover } from './recovery.ts';
import { routeKind } from './routes.ts';
import { networkCall, StoredObjects } from './stored-objects.ts';

export interface LinuxNetworkServiceOptions {
  /** The engine's state directory; networks are below it. @default defaultStateDirectory() */
  stateDirectory?: string;
  /** Told, in a sentence, of what was found broken and mended. @default dropped */
  log?: (message: string) => void;
}

/**
 * The first version that has documents of schema 2, and of all such that with the fewest promises: those of later
 * ones (dual stack, proxies, tiers of ACLs) are not kept here. Two features of it stay refused, RemoteSubnet and HostRoute;
 * and load balancers can be modified, although the version does not tell of it.
 */
const version: HnsVersion = { Major: 9, Minor: 2 };

/**
 * The Host Compute Network for Linux: networks are bridges, endpoints are links between them and network namespaces,
 * and nftables translates addresses and filters. Objects belong to the host and stay when this process ends; nothing is
 * held open between two calls, so there is nothing to dispose of.
 */
export function createLinuxNetworkService(options: LinuxNetworkServiceOptions = {}): NetworkService {
  const { stateDirectory = defaultStateDirectory(), log = () => {} } = options;
  const state = new NetworkState(stateDirectory);
  state.onRecovery((pending) => recover(state, pending, log));
  return {
    networks: new StoredObjects(state, networkKind(state)),
    endpoints: new StoredObjects(state, endpointKind(state)),
    namespaces: new StoredObjects(state, namespaceKind(state)),
    loadBalancers: new StoredObjects(state, loadBalancerKind(state)),
    routes: new StoredObjects(state, routeKind(state)),
    version: async ({ signal } = {}) => {
      signal?.throwIfAborted();
      return { ...version };
    },
    watch: (listener, { signal } = {}) =>
      networkCall('watch networks', signal, async (deadline) => {
        await state.make();
        deadline.throwIfAborted();
        return state.events.watch(listener);
      }),
  };
}
