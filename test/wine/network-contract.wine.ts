import { after } from 'node:test';
import { networkServiceContract } from '@hcsshim/hcn/contract';
import { createWindowsNetworkService } from '@hcsshim/hcn/windows';
import { computenetwork, vmcompute } from '@hcsshim/windows';
import { assertNothingLeakedFrom, ledgerOf } from './stand-in-ledger.ts';

/** The version comes from HNS's first interface, which is in another DLL. */
const ledgers = [ledgerOf(computenetwork.file), ledgerOf(vmcompute.file)];
const network = createWindowsNetworkService();
let lastHarness = 0;

async function assertNoneLeaked(): Promise<void> {
  for (const ledger of ledgers) await assertNothingLeakedFrom(ledger);
}

networkServiceContract('Windows over stand-ins for computenetwork.dll and vmcompute.dll', {
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
      [Symbol.asyncDispose]: assertNoneLeaked,
    };
  },
});

after(assertNoneLeaked);
