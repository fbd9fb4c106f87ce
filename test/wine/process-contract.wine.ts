import { after, describe } from 'node:test';
import { type ContractHarness, computeServiceContract } from '@hcsshim/hcs/contract';
import { createWindowsComputeService } from '@hcsshim/hcs/windows';
import { assertNothingLeaked, ledger } from './stand-in-ledger.ts';

/** Systems and processes of the stand-in DLL's own service, which exist in memory alone. */
function openMemoryHarness(): ContractHarness {
  const missing = (): never => {
    throw new Error('A system in memory has none of that');
  };
  const document = {
    Owner: 'contract',
    SchemaVersion: { Major: 2, Minor: 1 },
    ShouldTerminateOnLastHandleClosed: true,
  };
  return {
    compute: createWindowsComputeService(),
    sockets: { listen: missing, connect: missing },
    id: (name) => `memory-${name}`,
    document: (changes = {}) => ({ ...document, ...changes }),
    createDisk: missing,
    killMonitor: missing,
    createElsewhere: missing,
    sweep: missing,
    programs: {
      copy: { CommandLine: 'cat', CreateStdInPipe: true, CreateStdOutPipe: true, CreateStdErrPipe: true },
      wait: { CommandLine: 'wait' },
      exit: (exitCode) => ({ CommandLine: `exit ${exitCode}` }),
    },
    leftovers: async () => {
      const handles = ledger.StandInCountOpenHandles({});
      return handles === 0 ? [] : [`${handles} open handles`];
    },
    [Symbol.asyncDispose]: async () => {},
  };
}

const noGuest = 'systems in memory have no guest: contract.wine.ts has these';

describe('under Wine, against systems in memory', () => {
  after(assertNothingLeaked);

  computeServiceContract('the compute service of Windows', {
    open: async () => openMemoryHarness(),
    untestedChapters: {
      'life cycle': noGuest,
      handles: noGuest,
      'disks and sockets': noGuest,
      ownership: noGuest,
      service: noGuest,
    },
  });
});
