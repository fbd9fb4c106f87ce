import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLinuxComputeService } from '@hcsshim/engine';
import { createSandboxMonitorKind } from '@hcsshim/engine/sandbox';
import { computeServiceBackend } from './compute-service-backend.ts';
import { memoryBackend } from './memory-backend.ts';
import { StandInService } from './stand-in-service.ts';

const agentDirectory = join(import.meta.dirname, '../../cmd/gcs');

/** The services behind the stand-in DLLs, and where the tests find them. */
export interface WineTestServices extends AsyncDisposable {
  environment: Record<string, string>;
}

/** Starts a service of memory, and where that is allowed, one of the sandbox engine. */
export async function startWineTestServices(): Promise<WineTestServices> {
  await using started = new AsyncDisposableStack();
  const memory = started.use(await StandInService.start(memoryBackend));
  const environment: Record<string, string> = { HCSSHIM_STAND_IN_PORT: String(memory.port) };
  if (process.geteuid?.() === 0) {
    const stateDirectory = await mkdtemp(join(tmpdir(), 'hcs-wine-'));
    started.defer(() => rm(stateDirectory, { recursive: true, force: true }));
    const bundle = join(agentDirectory, 'dist/gcs.cjs');
    const agent = existsSync(bundle) ? bundle : join(agentDirectory, 'src/main.ts');
    const engine = started.use(
      createLinuxComputeService({
        monitor: createSandboxMonitorKind({
          agentCommand: [process.execPath, '--disable-warning=ExperimentalWarning', agent],
        }),
        stateDirectory,
        log: (message) => console.error(message),
      }),
    );
    const service = started.use(await StandInService.start(computeServiceBackend(engine.compute)));
    environment.HCSSHIM_STAND_IN_ENGINE_PORT = String(service.port);
  }
  const owned = started.move();
  return { environment, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}
