import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { computeServiceContract } from '@hcsshim/hcs/contract';
import { openLinuxHarness } from '../contract/linux-harness.ts';

const agentDirectory = join(import.meta.dirname, '../../../../cmd/gcs');
const agentBundle = join(agentDirectory, 'dist/gcs.cjs');
const agent = existsSync(agentBundle) ? agentBundle : join(agentDirectory, 'src/main.ts');

const hasRuntime = ['/usr/bin/crun', '/usr/bin/runc', '/usr/sbin/runc'].some((path) => existsSync(path));

computeServiceContract('the sandbox engine', {
  skip:
    process.geteuid?.() !== 0
      ? 'sandboxes need root'
      : hasRuntime
        ? undefined
        : 'sandboxes need crun or runc',
  untestedChapters: { processes: "a Linux VM's processes are its guest agent's: the service starts none" },
  untested: {
    'a crash ends the system unexpectedly, and is told in words':
      "a sandbox shares its host's kernel, which must not crash",
  },
  open: () =>
    openLinuxHarness(
      {
        name: 'sandbox',
        options: { agentCommand: [process.execPath, '--disable-warning=ExperimentalWarning', agent] },
      },
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
