/**
 * Makes a network with an endpoint in a namespace, shows it and takes it down, on Windows and on Linux:
 * `node network.ts [SUBNET [GATEWAY]]`.
 */
import { attachEndpoint, namespaceEndpointIds, newNamespace } from '@hcsshim/hcn';
import { openPlatform } from 'hcsshim';

const [subnet = '10.213.77.0/24', gateway = '10.213.77.1'] = process.argv.slice(2);

await using platform = await openPlatform();
const network = await platform.openNetwork();
await using owned = new AsyncDisposableStack();

const nat = await network.networks.create({
  Name: `example-${process.pid}`,
  Type: 'NAT',
  Ipams: [
    {
      Type: 'Static',
      Subnets: [{ IpAddressPrefix: subnet, Routes: [{ NextHop: gateway, DestinationPrefix: '0.0.0.0/0' }] }],
    },
  ],
});
owned.defer(() => network.networks.delete(nat.ID));
const endpoint = await network.endpoints.create({ HostComputeNetwork: nat.ID });
owned.defer(() => network.endpoints.delete(endpoint.ID));
const namespace = await network.namespaces.create(newNamespace('Host'));
owned.defer(() => network.namespaces.delete(namespace.ID));
await attachEndpoint(network, namespace.ID, endpoint.ID);

const addresses = endpoint.IpConfigurations?.map(({ IpAddress }) => IpAddress) ?? [];
const endpoints = await namespaceEndpointIds(network, namespace.ID);
console.log(
  `${nat.Type} network, address ${addresses.join(', ')}, endpoints in the namespace: ${endpoints.length}`,
);
