/** Makes a disk of a directory and shows it to a utility VM, without a container: `node vm-with-disk.ts DIRECTORY`. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createDirectoryDisk } from '@hcsshim/storage';
import { openPlatform } from 'hcsshim';

const [directory] = process.argv.slice(2);
if (directory === undefined) throw new Error('Cannot make a disk: name a directory');

await using owned = new AsyncDisposableStack();
const scratch = await mkdtemp(join(tmpdir(), 'hcsshim-example-'));
owned.defer(() => rm(scratch, { recursive: true, force: true }));
const path = join(scratch, 'disk.vhd');
await createDirectoryDisk({ directory, output: path });

const signal = AbortSignal.timeout(120_000);
await using platform = await openPlatform();
await using vm = await platform.createLinuxVm({ id: `example-vm-${process.pid}`, signal });
await using disk = await vm.disks.mount({ path, readOnly: true }, { signal });
console.log(`controller ${disk.controller}, LUN ${disk.lun}, mounted on ${disk.guestPath}`);

const list = await vm.createProcess(
  { CommandArgs: ['/bin/busybox', 'ls', disk.guestPath] },
  { stdout: true },
);
await pipeline(list.stdout ?? [], process.stdout, { end: false });
process.exitCode = await list.wait({ signal });
