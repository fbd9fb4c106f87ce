/** Runs a command in a container of its own, and ends with its exit code: `node run-container.ts IMAGE.tar echo hello`. */
import { pipeline } from 'node:stream/promises';
import { openPlatform } from 'hcsshim';

const [image, ...args] = process.argv.slice(2);
if (image === undefined) throw new Error('Cannot run a container: name an image, for example busybox.tar');

await using platform = await openPlatform();
await using container = await platform.createContainer({
  id: `example-run-${process.pid}`,
  image,
  ...(args.length > 0 ? { args } : {}),
  signal: AbortSignal.timeout(120_000),
});
const init = await container.start({ stdout: true, stderr: true });
const [{ exitCode }] = await Promise.all([
  container.wait(),
  pipeline(init.stdout ?? [], process.stdout, { end: false }),
  pipeline(init.stderr ?? [], process.stderr, { end: false }),
]);
process.exitCode = exitCode;
