import assert from 'node:assert/strict';
import { networkServiceContract } from '@hcsshim/hcn/contract';
import { listLinks, listNftTables, NetlinkSocket } from '@hcsshim/linux/netlink';
import { createLinuxNetworkService } from './linux-network-service.ts';
import { enterFreshHost, lendStateDirectory, networkDocument, whyNoNetworks } from './testing/fresh-host.ts';

enterFreshHost();

networkServiceContract('Linux', {
  skip: whyNoNetworks,
  async open() {
    const stateDirectory = lendStateDirectory();
    let lastSubnet = 0;
    return {
      network: createLinuxNetworkService({ stateDirectory: stateDirectory.path }),
      name: (name) => name,
      document: (name) => networkDocument(name, ++lastSubnet),
      routeSetting: { DestinationPrefix: '10.244.0.0/16', NextHop: '10.213.1.1' },
      async [Symbol.asyncDispose]() {
        stateDirectory[Symbol.dispose]();
        using route = NetlinkSocket.open('route');
        assert.deepEqual(
          listLinks(route).map(({ name }) => name),
          ['lo'],
          'the test has left links',
        );
        using filter = NetlinkSocket.open('netfilter');
        assert.deepEqual(listNftTables(filter, 'ipv4'), [], 'the test has left packet filters');
      },
    };
  },
});
