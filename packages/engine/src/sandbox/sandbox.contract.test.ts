import { computeServiceContract } from '@hcsshim/hcs/contract';
import { openLinuxHarness } from '../contract/linux-harness.ts';

const standInAgent = new URL('../contract/stand-in-agent.mjs', import.meta.url).pathname;

computeServiceContract('the sandbox engine', {
  skip: process.geteuid?.() === 0 ? undefined : 'sandboxes need root',
  open: () =>
    openLinuxHarness(
      { name: 'sandbox', options: { agentCommand: [process.execPath, standInAgent] } },
      {
        Owner: 'contract',
        SchemaVersion: { Major: 2, Minor: 1 },
        ShouldTerminateOnLastHandleClosed: true,
        VirtualMachine: {
          Chipset: {},
          ComputeTopology: { Memory: { SizeInMB: 256 }, Processor: { Count: 1 } },
        },
      },
    ),
});
