import assert from 'node:assert/strict';
import { test } from 'node:test';
import { aliasFile, type KernelModule, KernelModules, moduleName } from './kernel-modules.ts';

const module = (path: string, depends: string[] = [], aliases: string[] = []): KernelModule => ({
  name: moduleName(path),
  path,
  content: new Uint8Array(),
  depends,
  aliases,
});

const ext4 = module('kernel/fs/ext4/ext4.ko', ['jbd2', 'crc16', 'scsi_mod'], ['fs-ext4', 'ext3']);
const modules = new KernelModules(
  [
    ext4,
    module('kernel/fs/jbd2.ko', ['crc16']),
    module('kernel/lib/crc16.ko'),
    module('kernel/x/broken-one.ko', ['gone']),
  ],
  ['scsi_mod'],
);

test('each module comes behind what it needs, once, and what is built in is left out', () => {
  const names = modules.loadOrder(['ext4', 'crc16', 'scsi-mod']).map(({ name }) => name);
  assert.deepEqual(names, ['crc16', 'jbd2', 'ext4']);
});

test('a module that is not there is an error that names who needs it', () => {
  assert.throws(() => modules.loadOrder(['nope']), /Cannot find the kernel module "nope": /);
  assert.throws(() => modules.loadOrder(['broken-one']), /kernel module "gone", needed by "broken_one"/);
});

test('modules.dep and modules.alias are what modprobe reads', () => {
  assert.equal(
    modules.dependencyFile(modules.loadOrder(['ext4'])),
    'kernel/lib/crc16.ko:\nkernel/fs/jbd2.ko: kernel/lib/crc16.ko\n' +
      'kernel/fs/ext4/ext4.ko: kernel/fs/jbd2.ko kernel/lib/crc16.ko\n',
  );
  assert.equal(aliasFile([ext4]), 'alias fs-ext4 ext4\nalias ext3 ext4\n');
});

test('a name has no dash and no ending', () => {
  assert.equal(moduleName('kernel/drivers/md/dm-mod.ko.xz'), 'dm_mod');
});
