import { bind, computenetwork, type Notification, OwnedHandle, routeCallback } from '@hcsshim/windows';
import type {
  CallOptions,
  NetworkEvent,
  NetworkEventType,
  NetworkService,
  NetworkWatch,
} from '../network-service.ts';
import type { HnsCall } from './hns-call.ts';
import { createHnsClient } from './hns-client.ts';
import { networkCall } from './network-call.ts';
import { endpointKind, loadBalancerKind, namespaceKind, networkKind, routeKind } from './object-kinds.ts';
import { WindowsNetworkObjects } from './windows-network-objects.ts';

export interface WindowsNetworkOptions {
  /** How the version is asked for. @default `HNSCall` of `vmcompute.dll` */
  hnsCall?: HnsCall;
}

/**
 * The Host Compute Network of Windows, through `computenetwork.dll`. Nothing is loaded before the first call;
 * where the DLL is missing that call fails with ERROR_PROC_NOT_FOUND.
 */
export function createWindowsNetworkService(options: WindowsNetworkOptions = {}): NetworkService {
  const hns = createHnsClient(options);
  return {
    networks: new WindowsNetworkObjects(networkKind),
    endpoints: new WindowsNetworkObjects(endpointKind),
    namespaces: new WindowsNetworkObjects(namespaceKind),
    loadBalancers: new WindowsNetworkObjects(loadBalancerKind),
    routes: new WindowsNetworkObjects(routeKind),
    version: (callOptions) => hns.version(callOptions),
    watch,
  };
}

/** `HCN_NOTIFICATIONS` (computenetwork.h). */
const eventTypes: Readonly<Record<number, NetworkEventType>> = {
  1: 'NetworkPreCreate',
  2: 'NetworkCreate',
  3: 'NetworkPreDelete',
  4: 'NetworkDelete',
  5: 'NamespaceCreate',
  6: 'NamespaceDelete',
  16777216: 'ServiceDisconnect',
};

async function watch(
  listener: (event: NetworkEvent) => void,
  { signal }: CallOptions = {},
): Promise<NetworkWatch> {
  return networkCall({ action: 'watch networks', signal }, async (deadline) => {
    await using undo = new AsyncDisposableStack();
    const route = undo.use(
      routeCallback('HCS_NOTIFICATION_CALLBACK', (notification) => listener(eventOf(notification))),
    );
    const { HcnRegisterServiceCallback, HcnUnregisterServiceCallback } = bind(computenetwork);
    const { callbackHandle } = await HcnRegisterServiceCallback({
      callback: route.callback,
      context: route.context,
    });
    const subscription = undo.use(
      new OwnedHandle('HCN_CALLBACK', callbackHandle, (value) =>
        HcnUnregisterServiceCallback({ callbackHandle: value }),
      ),
    );
    deadline.throwIfAborted();
    undo.move();
    return {
      async [Symbol.asyncDispose]() {
        // Whoever does not want to hear any more hears nothing while the service is told so.
        route[Symbol.dispose]();
        await networkCall({ action: 'end the watch of networks' }, () => subscription.close());
      },
    };
  });
}

function eventOf({ type, data }: Notification): NetworkEvent {
  const id = idIn(data);
  return { type: eventTypes[type] ?? 'Other', number: type, ...(id === undefined ? {} : { id }) };
}

/** Of a `NotificationBase`; what is none has no id. */
function idIn(data: string | null): string | undefined {
  try {
    const { ID: id } = (JSON.parse(data ?? '{}') ?? {}) as { ID?: unknown };
    return typeof id === 'string' ? id : undefined;
  } catch {
    return undefined;
  }
}
