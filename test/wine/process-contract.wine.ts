import { after, describe } from 'node:test';
import { type ContractHarness, computeServiceContract } from '@hcsshim/hcs/contract';
import { createWindowsComputeService } from '@hcsshim/hcs/windows';
import { type ComputeApi, computecoreApi, vmcomputeApi } from '@hcsshim/windows';
import { assertNothingLeakedFrom, ledgerOf } from './stand-in-ledger.ts';

/** Systems and processes of the stand-in DLL's own service, which exist in memory alone. */
function openMemoryHarness(api: ComputeApi): ContractHarness {
  const ledger = ledgerOf(api.dll);
  const missing = (): never => {
    throw new Error('A system in memory has none of that');
  };
  const document = {
    Owner: 'contract',
    SchemaVersion: { Major: 2, Minor: 1 },
    ShouldTerminateOnLastHandleClosed: true,
  };
  return {
    compute: createWindowsComputeService({ api }),
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

for (const api of [computecoreApi, vmcomputeApi]) {
  describe(`under Wine, by ${api.dll}, against systems in memory`, () => {
    after(() => assertNothingLeakedFrom(ledgerOf(api.dll)));

    computeServiceContract('the compute service of Windows', {
      open: async () => openMemoryHarness(api),
      untestedChapters: {
        'life cycle': noGuest,
        handles: noGuest,
        'disks and sockets': noGuest,
        ownership: noGuest,
        service: noGuest,
      },
    });
  });
}
