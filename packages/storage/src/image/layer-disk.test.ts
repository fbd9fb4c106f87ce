import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { promisify } from 'node:util';
import { isHcsError } from '@hcsshim/schema';
import { stripVhdFooter } from '../vhd.ts';
import { type Entry, tar } from './archive.fixture.ts';
import { createLayerDisk, type LayerDiskOptions } from './layer-disk.ts';

const run = promisify(execFile);

let directory: string;
let output: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'hcsshim-disk-'));
  output = join(directory, 'layer.vhd');
});
afterEach(() => rm(directory, { recursive: true, force: true }));

async function make(entries: readonly Entry[], options: Partial<LayerDiskOptions> = {}): Promise<void> {
  const archive = tar(entries);
  await createLayerDisk({
    archive: (async function* () {
      yield new Uint8Array(archive);
    })(),
    output,
    ...options,
  });
  await stripVhdFooter(output);
  await run('/sbin/e2fsck', ['-fn', output]);
}

const debugfs = async (command: string): Promise<string> =>
  (await run('/sbin/debugfs', ['-R', command, output])).stdout;

/** `mode uid gid name` of what is in a directory. */
async function list(path: string): Promise<string[]> {
  const rows = (await debugfs(`ls -p ${path}`)).trim().split('\n');
  return rows
    .map((row) => row.split('/').slice(2, 6))
    .filter(([, , , name]) => name !== '.' && name !== '..')
    .map((fields) => fields.join(' '))
    .sort();
}

test('a layer with all kinds of files becomes a disk that has them', async () => {
  await make([
    { name: './', type: '5', mode: 0o700, uid: 1 },
    { name: 'bin/', type: '5', mode: 0o755, time: 1_600_000_000 },
    { name: 'bin/su', content: 'program', mode: 0o4755, uid: 70_000, gid: 80_000, time: 1_600_000_001 },
    { name: 'bin/also su', type: '1', target: 'bin/su' },
    { name: 'bin/sh', type: '2', target: '/bin/su', mode: 0o777 },
    { name: 'null', type: '3', mode: 0o666, device: [1, 3] },
    { name: 'disk', type: '4', mode: 0o600, device: [8, 300] },
    { name: 'pipe', type: '6' },
    { name: 'empty' },
    { name: '<5>', content: 'a name that debugfs would take for an inode' },
    { name: 'quo"te', type: '5' },
    { name: 'quo"te/in', content: 'x' },
    { name: 'implicit/parents/file', content: 'y', pax: { mtime: '4444444444.5' } },
  ]);
  assert.deepEqual(await list('/'), [
    '010644 0 0 pipe',
    '020666 0 0 null',
    '040644 0 0 quo"te',
    '040755 0 0 bin',
    '040755 0 0 implicit',
    '060600 0 0 disk',
    '100644 0 0 <5>',
    '100644 0 0 empty',
  ]);
  assert.deepEqual(
    await list('/bin'),
    ['100755 70000 80000 also su', '104755 70000 80000 su', '120777 0 0 sh'].map((row) =>
      row.replace('100755', '104755'),
    ),
  );
  assert.equal(await debugfs('cat "/bin/also su"'), 'program');
  assert.match(await debugfs('stat /bin/su'), /Links: 2 [\s\S]*mtime: 0x5f5e1001/);
  assert.match(await debugfs('stat /bin/sh'), /Fast link dest: "\/bin\/su"/);
  assert.match(await debugfs('stat /null'), /number: 01:03/);
  assert.match(await debugfs('stat /disk'), /08:300|08:12c/);
  assert.match(await debugfs('stat /'), /Mode: +0700[\s\S]*User: +1 /);
  assert.match(await debugfs('stat /implicit/parents/file'), /mtime: 0x08e8d71c:77359401/);
});

test('whiteouts become what overlayfs knows', async () => {
  await make([
    { name: 'etc/.wh.gone', time: 1 },
    { name: 'var/', type: '5', mode: 0o755 },
    { name: 'var/.wh..wh..opq' },
    { name: 'opt/.wh..wh..opq' },
    { name: 'opt/', type: '5', mode: 0o750 },
    { name: '.wh..wh.plnk/1' },
  ]);
  assert.match(await debugfs('stat /etc/gone'), /Type: character special +Mode: +0000[\s\S]*00:00/);
  assert.match(await debugfs('ea_list /var'), /trusted\.overlay\.opaque \(1\) = "y"/);
  assert.match(
    await debugfs('ea_list /opt'),
    /trusted\.overlay\.opaque \(1\) = "y"/,
    'whichever comes first',
  );
  assert.deepEqual(await list('/opt'), []);
});

test('attributes are kept, but not those that steer overlayfs', async () => {
  await make([
    {
      name: 'ping',
      pax: {
        'SCHILY.xattr.security.capability': '\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0',
        'SCHILY.xattr.user.long': 'v'.repeat(1000),
        'SCHILY.xattr.trusted.overlay.redirect': '/etc',
      },
    },
  ]);
  const attributes = await debugfs('ea_list /ping');
  assert.match(attributes, /security\.capability \(20\) = 01 00 00 02 00 20/);
  assert.match(attributes, /user\.long \(1000\)/);
  assert.doesNotMatch(attributes, /redirect/);
});

test('a later entry takes the place of an earlier one', async () => {
  await make([
    { name: 'a', content: 'first' },
    { name: 'b', type: '1', target: 'a' },
    { name: 'a', content: 'second' },
    { name: 'd/in', content: 'kept' },
    { name: 'd', type: '5', mode: 0o711 },
  ]);
  assert.equal(await debugfs('cat /a'), 'second');
  assert.equal(await debugfs('cat /b'), 'first');
  assert.equal(await debugfs('cat /d/in'), 'kept');
});

test('a link in the archive is followed inside the layer, never on the host', async () => {
  await make([
    { name: 'bin', type: '2', target: '/usr/bin' },
    { name: 'bin/tool', content: 'in usr' },
    { name: 'up', type: '2', target: '../../../../tmp' },
    { name: 'up/file', content: 'in the layer' },
  ]);
  assert.equal(await debugfs('cat /usr/bin/tool'), 'in usr');
  assert.equal(await debugfs('cat /tmp/file'), 'in the layer');
});

test('a path that climbs leads to the root of the layer at most', async () => {
  await make([
    { name: '../../etc/passwd', content: 'in the layer' },
    { name: 'a/../../b', content: 'beside it' },
    { name: 'hard', type: '1', target: '../../../etc/passwd' },
  ]);
  assert.equal(await debugfs('cat /etc/passwd'), 'in the layer');
  assert.equal(await debugfs('cat /hard'), 'in the layer');
  assert.equal(await debugfs('cat /b'), 'beside it');
});

const hostile: [string, Entry[], RegExp][] = [
  ['a whiteout of the parent', [{ name: 'a/.wh...' }], /".." is no name/],
  ['a whiteout of nothing', [{ name: 'a/.wh.' }], /there is a directory/],
  [
    'a hard link to nothing',
    [{ name: 'a', type: '1', target: '/etc/shadow' }],
    /there is no file "\/etc\/shadow"/,
  ],
  [
    'a hard link to a directory',
    [
      { name: 'd', type: '5' },
      { name: 'a', type: '1', target: 'd' },
    ],
    /"d" is a directory/,
  ],
  ['a file in the place of a directory', [{ name: 'd/in' }, { name: 'd' }], /there is a directory/],
  ['a file below a file', [{ name: 'a' }, { name: 'a/b' }], /"a" is no directory/],
  [
    'links in a circle',
    [{ name: 'a', type: '2', target: 'b' }, { name: 'b', type: '2', target: 'a' }, { name: 'a/c' }],
    /too many symlinks/,
  ],
  ['a name that is too long', [{ name: 'a', pax: { path: 'n'.repeat(256) } }], /has 256 bytes/],
  ['a path that is too long', [{ name: 'a', pax: { path: 'n/'.repeat(2100) } }], /has 4200 bytes/],
  ['a link to nowhere', [{ name: 'a', type: '2' }], /target has 0 bytes/],
];

for (const [name, entries, words] of hostile) {
  test(`${name} is refused, and nothing is left`, async () => {
    await assert.rejects(make(entries), (error: Error) => {
      assert.ok(isHcsError(error, 'HCS_E_INVALID_LAYER'), String(error));
      assert.match(error.message, words);
      return true;
    });
    assert.deepEqual(await readdir(directory), []);
  });
}

test('a layer with more files or bytes than allowed is refused', async () => {
  await assert.rejects(
    make([{ name: 'a' }, { name: 'b' }], { entries: 1 }),
    /more than the allowed 1 entries/,
  );
  const deep = [{ name: 'a', pax: { path: 'n/'.repeat(2000) } }];
  await assert.rejects(make(deep, { entries: 1000 }), /more than the allowed 1000 entries/);
  await assert.rejects(make([{ name: 'a', content: 'xx' }], { bytes: 1 }), /more than the allowed 1 bytes/);
  assert.deepEqual(await readdir(directory), []);
});
