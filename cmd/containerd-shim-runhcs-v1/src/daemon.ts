import type { CommandLine } from './command-line.ts';
import type { OpenShim } from './open-shim.ts';
import { openShimLog } from './shim-log.ts';

/**
 * The second half of `start`: from the socket to the end. The system of the container begins to boot before the
 * code that serves containerd is evaluated, which takes about as long.
 */
export async function runDaemon(command: CommandLine, { socket, annotations }: OpenShim): Promise<void> {
  // Was for this process, not for those it starts.
  delete process.env.MALLOC_MMAP_THRESHOLD_;
  const log = openShimLog(command);
  const { PlatformHost } = await import('./platform-host.ts');
  const host = new PlatformHost(log);
  await host.expect(command.id, annotations);
  const { serve } = await import('./serve.ts');
  await serve(command, { socket, log, host });
}
