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
import { StandInService } from './stand-in-service.ts';

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

/** Starts a service of memory, and where that is allowed, two of the sandbox engine: one is the contract suite's. */
export async function startWineTestServices(): Promise<WineTestServices> {
  await using started = new AsyncDisposableStack();
  const memory = started.use(await StandInService.start(memoryBackend));
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
    const hands = started.use(
      await ContractHands.start(() =>
        openLinuxHarness({ name: 'sandbox', options: { agentCommand } }, contractDocument),
      ),
    );
    const contract = started.use(await StandInService.start(computeServiceBackend(hands.compute)));
    const contractSockets = started.use(await HvSocketService.start(hands.sockets));
    environment.HCSSHIM_STAND_IN_CONTRACT_HVSOCKET_PORT = String(contractSockets.port);
    environment.HCSSHIM_CONTRACT_HANDS_PORT = String(hands.port);
    environment.HCSSHIM_STAND_IN_CONTRACT_PORT = String(contract.port);
  }
  const owned = started.move();
  return { environment, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}
