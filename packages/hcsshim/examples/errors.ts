/** Lets calls fail, and decides by predicates what to do about it: `node errors.ts IMAGE.tar`. */
import {
  HcsError,
  hasResult,
  isAlreadyStopped,
  isInvalidState,
  isNotFound,
  isNotSupported,
  isTimeout,
  openPlatform,
} from 'hcsshim';

const [image] = process.argv.slice(2);
if (image === undefined) throw new Error('Cannot run a container: name an image, for example busybox.tar');
const id = `example-errors-${process.pid}`;

await using platform = await openPlatform();
await using container = await platform.createContainer({ id, image, args: ['true'] });
const { system } = container.vm;

await attempt('open a system that nobody has created', () => platform.compute.open('no-such-system'));
await attempt('make a container of a missing image', () =>
  platform.createContainer({ id: `${id}-2`, image: '/nonexistent.tar' }),
);
await attempt('start what is running', () => system.start());
await attempt('add a device that the engine has not', () =>
  system.modify({ ResourcePath: 'VirtualMachine/Devices/Licensing', RequestType: 'Add' }),
);
await attempt('wait for what does not end soon', () => system.wait({ signal: AbortSignal.timeout(100) }));
await system.terminate();
await attempt('pause what has ended', () => system.pause());

async function attempt(what: string, call: () => Promise<unknown>): Promise<void> {
  try {
    await call();
    console.log(`${what}: done`);
  } catch (error) {
    console.log(`${what}: ${advice(error)}`);
    if (error instanceof HcsError) console.log(`  ${error.message}`);
  }
}

function advice(error: unknown): string {
  if (hasResult(error, 'ERROR_FILE_NOT_FOUND')) return 'look at the path';
  if (isTimeout(error)) return 'try again later';
  if (isAlreadyStopped(error)) return 'nothing is left to do';
  if (isNotFound(error)) return 'create it first';
  if (isInvalidState(error)) return 'look at its state';
  if (isNotSupported(error)) return 'do without it';
  throw error;
}
