import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import {
  chmod,
  chown,
  link,
  lutimes,
  mkdir,
  mkdtemp,
  open,
  readdir,
  rm,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { promisify } from 'node:util';
import { isHcsError } from '@hcsshim/schema';
import { createDirectoryDisk } from './ext4-image.ts';
import { readVhd, stripVhdFooter } from './vhd.ts';

const run = promisify(execFile);
const asRoot = { skip: process.getuid?.() === 0 ? false : 'needs root' };

let directory: string;
let tree: string;
let output: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'hcsshim-ext4-'));
  tree = join(directory, 'tree');
  output = join(directory, 'disk.vhd');
  await mkdir(tree);
});
afterEach(() => rm(directory, { recursive: true, force: true }));

/** e2fsck exits with 0 only when it has nothing to say. */
async function check(path: string): Promise<void> {
  await stripVhdFooter(path);
  await run('/sbin/e2fsck', ['-fn', path]);
}

const debugfs = async (command: string): Promise<string> =>
  (await run('/sbin/debugfs', ['-R', command, output])).stdout;

/** Everything that `find` can say about a tree, and a digest of each file. */
const listing = String.raw`find . -printf '%P %y %m %U %G %T@ %n %s %l\n' | grep -v ' d ' | sort;
  find . -type d -printf '%P %m %U %G %T@ %n\n' | sort; find . -type f -exec sha256sum {} + | sort`;

test('a mounted image is the tree, in names, owners, modes, times, links and content', asRoot, async () => {
  await mkdir(join(tree, 'sub/deep'), { recursive: true });
  await writeFile(join(tree, 'sub/file'), 'content');
  await link(join(tree, 'sub/file'), join(tree, 'hard'));
  await symlink('sub/file', join(tree, 'soft'));
  await symlink('x'.repeat(200), join(tree, 'long'));
  await chown(join(tree, 'sub/file'), 70_000, 80_000);
  await chmod(join(tree, 'sub/file'), 0o4751);
  await writeFile(join(tree, 'späte Datei "mit" Zeichen'), Buffer.alloc(300_000, 1));
  await utimes(join(tree, 'sub/file'), 0, 4_102_444_800.25);
  await utimes(join(tree, 'sub/deep'), 0, -86_400.5);
  await lutimes(join(tree, 'soft'), 5, 6.5);
  const sparse = await open(join(tree, 'sparse'), 'w');
  await sparse.truncate(64 << 20);
  await sparse.write('end', (64 << 20) - 3);
  await sparse.close();
  await run('mknod', [join(tree, 'null'), 'c', '1', '300']);
  await run('mkfifo', [join(tree, 'pipe')]);
  await chown(tree, 5, 6);
  await chmod(tree, 0o711);
  await utimes(tree, 0, 1_000_000.125);

  await createDirectoryDisk({ directory: tree, output });
  await check(output);
  const script = `set -e; cd "$1"; (${listing}) > "$3/before"
    mkdir "$3/mount"; mount -o ro,loop "$2" "$3/mount"; cd "$3/mount"; (${listing}) > "$3/after"`;
  await run('unshare', ['-m', 'sh', '-c', script, 'sh', tree, output, directory]);
  const { stdout } = await run('cat', [join(directory, 'before')]);
  assert.match(stdout, /sparse f 644/);
  await run('diff', [join(directory, 'before'), join(directory, 'after')]);
});

test('whiteouts and opaque directories of an overlay stay what they are', asRoot, async () => {
  const script = `set -e; cd "$1"; mkdir -p lower/dir upper work merged
    touch lower/gone lower/dir/old; mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work merged
    rm merged/gone; rm -r merged/dir; mkdir merged/dir; touch merged/dir/new`;
  await run('unshare', ['-m', 'sh', '-c', script, 'sh', directory]);
  await createDirectoryDisk({ directory: join(directory, 'upper'), output });
  await check(output);
  assert.match(
    await debugfs('stat /gone'),
    /Type: character special +Mode: +0000[\s\S]*Device major\/minor number: 00:00/,
  );
  assert.match(await debugfs('ea_list /dir'), /trusted\.overlay\.opaque \(1\) = "y"/);
  assert.doesNotMatch(await debugfs('ls /'), /lost\+found/);
});

test('a file with capabilities keeps them', asRoot, async () => {
  await writeFile(join(tree, 'ping'), '');
  try {
    await run('/sbin/setcap', ['cap_net_raw=ep', join(tree, 'ping')]);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  await createDirectoryDisk({ directory: tree, output });
  await check(output);
  assert.match(await debugfs('ea_list /ping'), /security\.capability \(20\)/);
});

test('an image is little larger than what is in it, and no tree is too odd to fit', async () => {
  const large = Buffer.alloc(8 << 20, 1);
  await writeFile(join(tree, 'large'), large);
  await createDirectoryDisk({ directory: tree, output });
  const { size } = await readVhd(output);
  assert.ok(size < large.length * 1.1, `${size} bytes`);
  await check(output);

  await mkdir(join(tree, 'many'));
  for (let index = 0; index < 1000; index++) {
    await writeFile(join(tree, 'many', `${index}-${'n'.repeat(200)}`), index % 3 === 0 ? 'x' : '');
  }
  await createDirectoryDisk({ directory: tree, output });
  await check(output);
});

test('names of any bytes are kept', async () => {
  const name = Buffer.concat([Buffer.from(`${tree}/`), Buffer.from([0xff, 0xfe, 0x20, 0x22])]);
  await writeFile(name, 'odd');
  await createDirectoryDisk({ directory: tree, output });
  await check(output);
  assert.equal(await debugfs('cat "/\u00ff"').catch(() => ''), '');
  const { stdout } = await run('/sbin/debugfs', ['-R', 'ls -p /', output], { encoding: 'latin1' });
  assert.ok(stdout.includes('\u00ff\u00fe "'));
});

test('the same tree, uuid and time give the same bytes', async () => {
  await writeFile(join(tree, 'file'), 'content');
  const again = join(directory, 'again.vhd');
  const same = { directory: tree, uuid: '0f8fad5b-d9cb-469f-a165-70867728950e' };
  await createDirectoryDisk({ ...same, output });
  await createDirectoryDisk({ ...same, output: again });
  await run('cmp', [output, again]);
});

test('a directory that is not there is named', async () => {
  await assert.rejects(createDirectoryDisk({ directory: '/no/such/tree', output }), (error: Error) =>
    isHcsError(error, 'ERROR_FILE_NOT_FOUND'),
  );
});

test('an image that is given up is not there, nor is a part of it', async () => {
  await writeFile(join(tree, 'large'), Buffer.alloc(64 << 20, 1));
  const giveUp = new AbortController();
  const making = createDirectoryDisk({ directory: tree, output, signal: giveUp.signal });
  // It has begun, and lets others have their turn: it is some way from its end.
  giveUp.abort(new Error('enough'));
  await assert.rejects(making, /enough/);
  assert.deepEqual(await readdir(directory), ['tree']);
});
