import { after } from 'node:test';
import type { NetworkService } from '@hcsshim/hcn';
import { networkServiceContract } from '@hcsshim/hcn/contract';
import { createWindowsNetworkService } from '@hcsshim/hcn/windows';
import { computenetwork } from '@hcsshim/windows';
import { assertNothingLeakedFrom, ledgerOf } from './stand-in-ledger.ts';

const ledger = ledgerOf(computenetwork.file);
let lastHarness = 0;

/** The version comes from another DLL, `vmcompute.dll`; here a function takes that DLL's place. */
const network: NetworkService = createWindowsNetworkService({
  hnsCall: async () => '{"Success":true,"Output":{"Major":15,"Minor":4}}',
});

networkServiceContract('Windows over a stand-in computenetwork.dll', {
  async open() {
    const number = ++lastHarness;
    const name = (text: string) => `${text} ${number}`;
    return {
      network,
      name,
      document: (Name) => ({
        Name,
        Type: 'L2Bridge',
        Ipams: [
          {
            Type: 'Static',
            Subnets: [
              {
                IpAddressPrefix: '10.0.0.0/24',
                Routes: [{ NextHop: '10.0.0.1', DestinationPrefix: '0.0.0.0/0' }],
              },
            ],
          },
        ],
      }),
      [Symbol.asyncDispose]: () => assertNothingLeakedFrom(ledger),
    };
  },
});

after(() => assertNothingLeakedFrom(ledger));
