/** Starts one more process in a running container, and streams to and from it: `node exec.ts IMAGE.tar < FILE`. */
import { pipeline } from 'node:stream/promises';
import { openPlatform } from 'hcsshim';

const [image] = process.argv.slice(2);
if (image === undefined) throw new Error('Cannot run a container: name an image, for example busybox.tar');

await using platform = await openPlatform();
await using container = await platform.createContainer({
  id: `example-exec-${process.pid}`,
  image,
  args: ['sleep', '3600'],
  signal: AbortSignal.timeout(120_000),
});
await container.start();

const upperCase = await container.exec({ args: ['tr', 'a-z', 'A-Z'] }, { stdin: true, stdout: true });
if (!upperCase.stdin || !upperCase.stdout) throw new Error('Cannot stream: the process has no streams');
await Promise.all([
  pipeline(process.stdin, upperCase.stdin),
  pipeline(upperCase.stdout, process.stdout, { end: false }),
]);
console.log(`exit code ${await upperCase.wait()}, processes left: ${(await container.processes()).length}`);
