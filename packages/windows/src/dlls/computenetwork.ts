import type { Dll } from '../procedure.ts';

/**
 * The Host Compute Network.
 */
export const computenetwork = {
  file: 'computenetwork.dll',
  build: 17763,
  source: 'Microsoft\'s "HCN API reference" and its computenetwork.h; for routes hcsshim\'s hcn',
  procedures: {
    // Networks
    HcnEnumerateNetworks: {
      returns: 'HRESULT',
      parameters: { query: 'PCWSTR', networks: 'out CoTaskMemString', errorRecord: 'out CoTaskMemString' },
      purpose: 'List networks',
    },
    HcnCreateNetwork: {
      returns: 'HRESULT',
      parameters: {
        id: 'GUID',
        settings: 'PCWSTR',
        network: 'out HCN_NETWORK',
        errorRecord: 'out CoTaskMemString',
      },
      purpose: 'Create a network',
    },
    HcnOpenNetwork: {
      returns: 'HRESULT',
      parameters: { id: 'GUID', network: 'out HCN_NETWORK', errorRecord: 'out CoTaskMemString' },
      purpose: 'Open a network',
    },
    HcnModifyNetwork: {
      returns: 'HRESULT',
      parameters: { network: 'HCN_NETWORK', settings: 'PCWSTR', errorRecord: 'out CoTaskMemString' },
      purpose: 'Change a network',
    },
    HcnQueryNetworkProperties: {
      returns: 'HRESULT',
      parameters: {
        network: 'HCN_NETWORK',
        query: 'PCWSTR',
        properties: 'out CoTaskMemString',
        errorRecord: 'out CoTaskMemString',
      },
      purpose: 'Properties of a network',
    },
    HcnDeleteNetwork: {
      returns: 'HRESULT',
      parameters: { id: 'GUID', errorRecord: 'out CoTaskMemString' },
      purpose: 'Delete a network',
    },
    HcnCloseNetwork: {
      returns: 'HRESULT',
      parameters: { network: 'HCN_NETWORK' },
      purpose: 'Close a handle to a network',
    },
    // Endpoints
    HcnEnumerateEndpoints: {
      returns: 'HRESULT',
      parameters: { query: 'PCWSTR', endpoints: 'out CoTaskMemString', errorRecord: 'out CoTaskMemString' },
      purpose: 'List endpoints',
    },
    HcnCreateEndpoint: {
      returns: 'HRESULT',
      parameters: {
        network: 'HCN_NETWORK',
        id: 'GUID',
        settings: 'PCWSTR',
        endpoint: 'out HCN_ENDPOINT',
        errorRecord: 'out CoTaskMemString',
      },
      purpose: 'Create an endpoint',
    },
    HcnOpenEndpoint: {
      returns: 'HRESULT',
      parameters: { id: 'GUID', endpoint: 'out HCN_ENDPOINT', errorRecord: 'out CoTaskMemString' },
      purpose: 'Open an endpoint',
    },
    HcnModifyEndpoint: {
      returns: 'HRESULT',
      parameters: { endpoint: 'HCN_ENDPOINT', settings: 'PCWSTR', errorRecord: 'out CoTaskMemString' },
      purpose: 'Change an endpoint',
    },
    HcnQueryEndpointProperties: {
      returns: 'HRESULT',
      parameters: {
        endpoint: 'HCN_ENDPOINT',
        query: 'PCWSTR',
        properties: 'out CoTaskMemString',
        errorRecord: 'out CoTaskMemString',
      },
      purpose: 'Properties of an endpoint',
    },
    HcnDeleteEndpoint: {
      returns: 'HRESULT',
      parameters: { id: 'GUID', errorRecord: 'out CoTaskMemString' },
      purpose: 'Delete an endpoint',
    },
    HcnCloseEndpoint: {
      returns: 'HRESULT',
      parameters: { endpoint: 'HCN_ENDPOINT' },
      purpose: 'Close a handle to an endpoint',
    },
    // Namespaces
    HcnEnumerateNamespaces: {
      returns: 'HRESULT',
      parameters: { query: 'PCWSTR', namespaces: 'out CoTaskMemString', errorRecord: 'out CoTaskMemString' },
      purpose: 'List namespaces',
    },
    HcnCreateNamespace: {
      returns: 'HRESULT',
      parameters: {
        id: 'GUID',
        settings: 'PCWSTR',
        namespace: 'out HCN_NAMESPACE',
        errorRecord: 'out CoTaskMemString',
      },
      purpose: 'Create a namespace',
    },
    HcnOpenNamespace: {
      returns: 'HRESULT',
      parameters: { id: 'GUID', namespace: 'out HCN_NAMESPACE', errorRecord: 'out CoTaskMemString' },
      purpose: 'Open a namespace',
    },
    HcnModifyNamespace: {
      returns: 'HRESULT',
      parameters: { namespace: 'HCN_NAMESPACE', settings: 'PCWSTR', errorRecord: 'out CoTaskMemString' },
      purpose: 'Change a namespace',
    },
    HcnQueryNamespaceProperties: {
      returns: 'HRESULT',
      parameters: {
        namespace: 'HCN_NAMESPACE',
        query: 'PCWSTR',
        properties: 'out CoTaskMemString',
        errorRecord: 'out CoTaskMemString',
      },
      purpose: 'Properties of a namespace',
    },
    HcnDeleteNamespace: {
      returns: 'HRESULT',
      parameters: { id: 'GUID', errorRecord: 'out CoTaskMemString' },
      purpose: 'Delete a namespace',
    },
    HcnCloseNamespace: {
      returns: 'HRESULT',
      parameters: { namespace: 'HCN_NAMESPACE' },
      purpose: 'Close a handle to a namespace',
    },
    // Load balancers
    HcnEnumerateLoadBalancers: {
      returns: 'HRESULT',
      parameters: {
        query: 'PCWSTR',
        loadBalancers: 'out CoTaskMemString',
        errorRecord: 'out CoTaskMemString',
      },
      purpose: 'List load balancers',
    },
    HcnCreateLoadBalancer: {
      returns: 'HRESULT',
      parameters: {
        id: 'GUID',
        settings: 'PCWSTR',
        loadBalancer: 'out HCN_LOADBALANCER',
        errorRecord: 'out CoTaskMemString',
      },
      purpose: 'Create a load balancer',
    },
    HcnOpenLoadBalancer: {
      returns: 'HRESULT',
      parameters: { id: 'GUID', loadBalancer: 'out HCN_LOADBALANCER', errorRecord: 'out CoTaskMemString' },
      purpose: 'Open a load balancer',
    },
    HcnModifyLoadBalancer: {
      returns: 'HRESULT',
      parameters: {
        loadBalancer: 'HCN_LOADBALANCER',
        settings: 'PCWSTR',
        errorRecord: 'out CoTaskMemString',
      },
      purpose: 'Change a load balancer',
    },
    HcnQueryLoadBalancerProperties: {
      returns: 'HRESULT',
      parameters: {
        loadBalancer: 'HCN_LOADBALANCER',
        query: 'PCWSTR',
        properties: 'out CoTaskMemString',
        errorRecord: 'out CoTaskMemString',
      },
      purpose: 'Properties of a load balancer',
    },
    HcnDeleteLoadBalancer: {
      returns: 'HRESULT',
      parameters: { id: 'GUID', errorRecord: 'out CoTaskMemString' },
      purpose: 'Delete a load balancer',
    },
    HcnCloseLoadBalancer: {
      returns: 'HRESULT',
      parameters: { loadBalancer: 'HCN_LOADBALANCER' },
      purpose: 'Close a handle to a load balancer',
    },
    // Routes
    HcnEnumerateSdnRoutes: {
      returns: 'HRESULT',
      parameters: { query: 'PCWSTR', routes: 'out CoTaskMemString', errorRecord: 'out CoTaskMemString' },
      build: 19041,
      purpose: 'List routes',
    },
    HcnCreateSdnRoute: {
      returns: 'HRESULT',
      parameters: {
        id: 'GUID',
        settings: 'PCWSTR',
        route: 'out HCN_ROUTE',
        errorRecord: 'out CoTaskMemString',
      },
      build: 19041,
      purpose: 'Create a route',
    },
    HcnOpenSdnRoute: {
      returns: 'HRESULT',
      parameters: { id: 'GUID', route: 'out HCN_ROUTE', errorRecord: 'out CoTaskMemString' },
      build: 19041,
      purpose: 'Open a route',
    },
    HcnModifySdnRoute: {
      returns: 'HRESULT',
      parameters: { route: 'HCN_ROUTE', settings: 'PCWSTR', errorRecord: 'out CoTaskMemString' },
      build: 19041,
      purpose: 'Change a route',
    },
    HcnQuerySdnRouteProperties: {
      returns: 'HRESULT',
      parameters: {
        route: 'HCN_ROUTE',
        query: 'PCWSTR',
        properties: 'out CoTaskMemString',
        errorRecord: 'out CoTaskMemString',
      },
      build: 19041,
      purpose: 'Properties of a route',
    },
    HcnDeleteSdnRoute: {
      returns: 'HRESULT',
      parameters: { id: 'GUID', errorRecord: 'out CoTaskMemString' },
      build: 19041,
      purpose: 'Delete a route',
    },
    HcnCloseSdnRoute: {
      returns: 'HRESULT',
      parameters: { route: 'HCN_ROUTE' },
      build: 19041,
      purpose: 'Close a handle to a route',
    },
    // Notifications
    HcnRegisterServiceCallback: {
      returns: 'HRESULT',
      parameters: { callback: 'CALLBACK', context: 'CONTEXT', callbackHandle: 'out HCN_CALLBACK' },
      purpose: 'Have the notifications of the service told',
    },
    HcnUnregisterServiceCallback: {
      returns: 'HRESULT',
      parameters: { callbackHandle: 'HCN_CALLBACK' },
      purpose: 'End that',
    },
    // Guest network services
    HcnCreateGuestNetworkService: {
      returns: 'HRESULT',
      parameters: {
        id: 'GUID',
        settings: 'PCWSTR',
        guestNetworkService: 'out HCN_GUESTNETWORKSERVICE',
        errorRecord: 'out CoTaskMemString',
      },
      build: 19041,
      purpose: "Create a network service for a VM's guest",
    },
    HcnModifyGuestNetworkService: {
      returns: 'HRESULT',
      parameters: {
        guestNetworkService: 'HCN_GUESTNETWORKSERVICE',
        settings: 'PCWSTR',
        errorRecord: 'out CoTaskMemString',
      },
      build: 19041,
      purpose: 'Change a guest network service',
    },
    HcnDeleteGuestNetworkService: {
      returns: 'HRESULT',
      parameters: { id: 'GUID', errorRecord: 'out CoTaskMemString' },
      build: 19041,
      purpose: 'Delete a guest network service',
    },
    HcnCloseGuestNetworkService: {
      returns: 'HRESULT',
      parameters: { guestNetworkService: 'HCN_GUESTNETWORKSERVICE' },
      build: 19041,
      purpose: 'Close a handle to a guest network service',
    },
    HcnRegisterGuestNetworkServiceCallback: {
      returns: 'HRESULT',
      parameters: {
        guestNetworkService: 'HCN_GUESTNETWORKSERVICE',
        callback: 'CALLBACK',
        context: 'CONTEXT',
        callbackHandle: 'out HCN_CALLBACK',
      },
      build: 19041,
      purpose: 'Have the notifications of a guest network service told',
    },
    HcnUnregisterGuestNetworkServiceCallback: {
      returns: 'HRESULT',
      parameters: { callbackHandle: 'HCN_CALLBACK' },
      build: 19041,
      purpose: 'End that',
    },
    // Ports of guest network services
    HcnReserveGuestNetworkServicePort: {
      returns: 'HRESULT',
      parameters: {
        guestNetworkService: 'HCN_GUESTNETWORKSERVICE',
        protocol: 'INT',
        access: 'INT',
        port: 'USHORT',
        portReservation: 'out HANDLE',
      },
      build: 19041,
      purpose: 'Reserve a port',
    },
    HcnReserveGuestNetworkServicePortRange: {
      returns: 'HRESULT',
      parameters: {
        guestNetworkService: 'HCN_GUESTNETWORKSERVICE',
        portCount: 'USHORT',
        portRange: 'memory HCN_PORT_RANGE_RESERVATION',
        portReservation: 'out HANDLE',
      },
      build: 19041,
      purpose: 'Reserve consecutive ports',
    },
    HcnReleaseGuestNetworkServicePortReservationHandle: {
      returns: 'HRESULT',
      parameters: { portReservation: 'HANDLE' },
      build: 19041,
      purpose: 'Give reserved ports back',
    },
    HcnEnumerateGuestNetworkPortReservations: {
      returns: 'HRESULT',
      parameters: { count: 'out DWORD', portEntries: 'out ADDRESS' },
      build: 19041,
      purpose: 'List reserved ports',
    },
    HcnFreeGuestNetworkPortReservations: {
      returns: 'void',
      parameters: { portEntries: 'ADDRESS' },
      build: 19041,
      immediate: true,
      purpose: 'Free that list',
    },
  },
} as const satisfies Dll;
