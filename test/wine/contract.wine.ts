import { after, describe } from 'node:test';
import { computeServiceContract } from '@hcsshim/hcs/contract';
import { openWineHarness } from './contract-harness.ts';
import { assertNoSocketsLeaked } from './hv-socket-stand-in.ts';
import { assertNothingLeaked } from './stand-in-ledger.ts';

const {
  HCSSHIM_STAND_IN_CONTRACT_PORT: port,
  HCSSHIM_STAND_IN_CONTRACT_HVSOCKET_PORT: hvSocketPort,
  HCSSHIM_CONTRACT_HANDS_PORT: handsPort,
} = process.env;
// The DLLs read them at their first calls.
if (port !== undefined) process.env.HCSSHIM_STAND_IN_PORT = port;
if (hvSocketPort !== undefined) process.env.HCSSHIM_STAND_IN_HVSOCKET_PORT = hvSocketPort;

describe('under Wine, against the sandbox engine', () => {
  after(assertNothingLeaked);
  after(assertNoSocketsLeaked);

  computeServiceContract('the compute service of Windows', {
    skip: handsPort === undefined ? 'sandboxes need root' : undefined,
    open: () => openWineHarness(Number(handsPort)),
    untested: {
      'the reason of an end names the owner that has died':
        'an exit document of Windows has no place for the id of the process that owned the system',
    },
  });
});
