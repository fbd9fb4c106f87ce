import { after, describe } from 'node:test';
import { computeServiceContract } from '@hcsshim/hcs/contract';
import { createWindowsComputeService } from '@hcsshim/hcs/windows';
import { vmcomputeApi } from '@hcsshim/windows';
import { openWineHarness } from './contract-harness.ts';
import { assertNoSocketsLeaked } from './hv-socket-stand-in.ts';
import { assertNothingLeakedFrom, ledgerOf } from './stand-in-ledger.ts';

const {
  HCSSHIM_STAND_IN_VMCOMPUTE_CONTRACT_PORT: port,
  HCSSHIM_STAND_IN_VMCOMPUTE_CONTRACT_HVSOCKET_PORT: hvSocketPort,
  HCSSHIM_VMCOMPUTE_CONTRACT_HANDS_PORT: handsPort,
} = process.env;
// The DLLs read them at their first calls.
if (port !== undefined) process.env.HCSSHIM_STAND_IN_PORT = port;
if (hvSocketPort !== undefined) process.env.HCSSHIM_STAND_IN_HVSOCKET_PORT = hvSocketPort;

describe('under Wine, by vmcompute.dll, against the sandbox engine', () => {
  after(() => assertNothingLeakedFrom(ledgerOf('vmcompute.dll')));
  after(assertNoSocketsLeaked);

  computeServiceContract('the compute service of Windows', {
    skip: handsPort === undefined ? 'sandboxes need root' : undefined,
    open: async () => ({
      ...(await openWineHarness(Number(handsPort))),
      compute: createWindowsComputeService({ api: vmcomputeApi }),
    }),
    untestedChapters: { processes: 'the sandbox engine starts none: process-contract.wine.ts has them' },
    untested: {
      'a crash ends the system unexpectedly, and is told in words':
        "a sandbox shares its host's kernel, which must not crash",
      'the reason of an end names the owner that has died':
        'an exit document of Windows has no place for the id of the process that owned the system',
    },
  });
});
