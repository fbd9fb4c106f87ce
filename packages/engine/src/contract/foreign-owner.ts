/**
 * A process that creates and starts a compute system and holds it until its standard input ends. Its only
 * argument is a {@link ForeignOwnerRequest} as JSON; it writes "ready" when the system runs.
 */
import { once } from 'node:events';
import type { ComputeSystemDocument } from '@hcsshim/schema';
import { createLinuxComputeService } from '../linux-compute-service.ts';
import { createMonitorKind, type MonitorChoice } from './monitor-choice.ts';

export interface ForeignOwnerRequest {
  monitor: MonitorChoice;
  stateDirectory: string;
  id: string;
  document: ComputeSystemDocument;
}

const { monitor, stateDirectory, id, document } = JSON.parse(
  process.argv[2] as string,
) as ForeignOwnerRequest;
await using service = createLinuxComputeService({
  monitor: createMonitorKind(monitor),
  stateDirectory,
  log: (message) => console.error(message),
});
await using system = await service.compute.create(id, document);
await system.start();
console.log('ready');
process.stdin.resume();
await Promise.race([once(process.stdin, 'end'), system.wait()]);
process.stdin.destroy();
