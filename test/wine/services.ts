import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLinuxComputeService } from '@hcsshim/engine';
import { createSandboxMonitorKind } from '@hcsshim/engine/sandbox';
import type { ComputeSystemDocument } from '@hcsshim/schema';
import { openLinuxHarness } from '../../packages/engine/src/contract/linux-harness.ts';
import { computeServiceBackend } from './compute-service-backend.ts';
import { ContractHands } from './contract-hands.ts';
import { HvSocketService } from './hv-socket-service.ts';
import { LoopbackHvSocket } from './loopback-hv-socket.ts';
import { memoryBackend } from './memory-backend.ts';
import { networkBackend } from './network-backend.ts';
import { type Backend, StandInService, type Tell } from './stand-in-service.ts';

const agentDirectory = join(import.meta.dirname, '../../cmd/gcs');
const bundle = join(agentDirectory, 'dist/gcs.cjs');
const agentCommand = [
  process.execPath,
  '--disable-warning=ExperimentalWarning',
  existsSync(bundle) ? bundle : join(agentDirectory, 'src/main.ts'),
];

/** A system whose agent dials its host: what the contract suite wants. */
const contractDocument: ComputeSystemDocument = {
  Owner: 'contract',
  SchemaVersion: { Major: 2, Minor: 1 },
  ShouldTerminateOnLastHandleClosed: true,
  VirtualMachine: {
    Chipset: {},
    ComputeTopology: { Memory: { SizeInMB: 256 }, Processor: { Count: 1 } },
  },
};

/** The services behind the stand-in DLLs, and where the tests find them. */
export interface WineTestServices extends AsyncDisposable {
  environment: Record<string, string>;
}

/** Each DLL has a connection of its own; which one it is, its calls tell. */
function memoryBackends(tell: Tell): Backend {
  const compute = memoryBackend(tell);
  const network = networkBackend(tell);
  return { ...compute, answer: (call) => (call.name.startsWith('Hcn') ? network : compute).answer(call) };
}

/** Starts a service of memory, and where that is allowed, three of the sandbox engine: two are the contract suites'. */
export async function startWineTestServices(): Promise<WineTestServices> {
  await using started = new AsyncDisposableStack();
  const memory = started.use(await StandInService.start(memoryBackends));
  const loopback = started.use(await HvSocketService.start(new LoopbackHvSocket()));
  const environment: Record<string, string> = {
    HCSSHIM_STAND_IN_PORT: String(memory.port),
    HCSSHIM_STAND_IN_HVSOCKET_PORT: String(loopback.port),
  };
  if (process.geteuid?.() === 0) {
    const stateDirectory = await mkdtemp(join(tmpdir(), 'hcs-wine-'));
    started.defer(() => rm(stateDirectory, { recursive: true, force: true }));
    const engine = started.use(
      createLinuxComputeService({
        monitor: createSandboxMonitorKind({ agentCommand }),
        stateDirectory,
        log: (message) => console.error(message),
      }),
    );
    const service = started.use(await StandInService.start(computeServiceBackend(engine.compute)));
    environment.HCSSHIM_STAND_IN_ENGINE_PORT = String(service.port);
    const engineSockets = started.use(await HvSocketService.start(engine.sockets));
    environment.HCSSHIM_STAND_IN_ENGINE_HVSOCKET_PORT = String(engineSockets.port);
    // The suites of both DLLs run at a time, and hands have one harness open at a time.
    for (const suite of ['CONTRACT', 'VMCOMPUTE_CONTRACT']) {
      const hands = started.use(
        await ContractHands.start(() =>
          openLinuxHarness({ name: 'sandbox', options: { agentCommand } }, contractDocument),
        ),
      );
      const contract = started.use(await StandInService.start(computeServiceBackend(hands.compute)));
      const contractSockets = started.use(await HvSocketService.start(hands.sockets));
      environment[`HCSSHIM_${suite}_HANDS_PORT`] = String(hands.port);
      environment[`HCSSHIM_STAND_IN_${suite}_PORT`] = String(contract.port);
      environment[`HCSSHIM_STAND_IN_${suite}_HVSOCKET_PORT`] = String(contractSockets.port);
    }
  }
  const owned = started.move();
  return { environment, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}
