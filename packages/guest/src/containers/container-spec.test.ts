import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { isHcsError, type OciSpec } from '@hcsshim/schema';
import { setUpSpec, withUserIds } from './container-spec.ts';
import { hostsFile, resolvConfFile } from './network-files.ts';
import { resolveInRoot } from './path-in-root.ts';
import { resolveUser } from './user.ts';

let directory: string;
let root: string;

before(() => {
  directory = mkdtempSync(join(tmpdir(), 'container-spec-'));
  root = join(directory, 'rootfs');
  mkdirSync(join(root, 'etc'), { recursive: true });
  writeFileSync(join(root, 'etc/passwd'), '# users\nroot:x:0:0:root:/:/bin/sh\nalice:x:1000:100::/:\n\n');
  writeFileSync(join(root, 'etc/group'), 'root:x:0:\nusers:x:100:alice\n');
});

after(() => rmSync(directory, { recursive: true }));

test('users and groups, by name and by number', async () => {
  const cases: [string, number, number][] = [
    ['root', 0, 0],
    ['alice', 1000, 100],
    ['1000', 1000, 100],
    ['4711', 4711, 0],
    ['alice:root', 1000, 0],
    ['0:users', 0, 100],
    ['5:6', 5, 6],
    ['4294967295', 4294967295, 0],
  ];
  for (const [user, uid, gid] of cases) assert.deepEqual(await resolveUser(root, user), { uid, gid }, user);
});

test('users that cannot be', async () => {
  const cases: [string, RegExp][] = [
    ['bob', /"bob" is not in \/etc\/passwd of the container/],
    ['alice:staff', /"staff" is not in \/etc\/group of the container/],
    ['4294967296', /4294967296 is no id, ids have 32 bits/],
    ['a:b:c', /give a name or a number, and after a colon the group/],
    ['alice:', /give a name or a number/],
  ];
  for (const [user, message] of cases) await assert.rejects(resolveUser(root, user), message);
});

test("links in a container lead nowhere but into the container's own root", async () => {
  const tree = join(directory, 'links');
  mkdirSync(join(tree, 'real'), { recursive: true });
  symlinkSync('/real', join(tree, 'absolute'));
  symlinkSync('../../../../../etc', join(tree, 'real/out'));
  symlinkSync('loop', join(tree, 'loop'));
  assert.equal(await resolveInRoot(tree, '/absolute/passwd'), join(tree, 'real/passwd'));
  assert.equal(await resolveInRoot(tree, '/real/out/shadow'), join(tree, 'etc/shadow'));
  assert.equal(await resolveInRoot(tree, '../../x'), join(tree, 'x'));
  await assert.rejects(resolveInRoot(tree, 'loop'), /too many symbolic links/);
});

const spec: OciSpec = {
  ociVersion: '1.0.2',
  process: { user: { username: 'alice' }, args: ['true'], cwd: '/' },
  root: { path: '', readonly: true },
  hostname: 'a.example',
  mounts: [{ destination: '/etc/hosts', type: 'bind', source: '/x' }],
  windows: { layerFolders: [] },
  linux: {
    cgroupsPath: 'of-the-host',
    namespaces: [
      { type: 'uts' },
      { type: 'network', path: '/proc/1/ns/net' },
      { type: 'pid', path: '/kept' },
    ],
  },
};

test('a standalone container gets its files, user, cgroup and network namespace', async () => {
  const place = { id: 'c', directory: join(directory, 'bundle'), cgroupParent: '/containers' };
  const result = await setUpSpec({ ...spec, root: { path: root, readonly: true } }, place);
  assert.deepEqual(result, {
    ociVersion: '1.0.2',
    process: { user: { uid: 1000, gid: 100 }, args: ['true'], cwd: '/' },
    root: { path: root, readonly: true },
    hostname: 'a.example',
    mounts: [
      { destination: '/etc/hosts', type: 'bind', source: '/x' },
      {
        destination: '/etc/hostname',
        type: 'bind',
        source: join(place.directory, 'hostname'),
        options: ['bind', 'ro'],
      },
      {
        destination: '/etc/resolv.conf',
        type: 'bind',
        source: join(place.directory, 'resolv.conf'),
        options: ['bind', 'ro'],
      },
    ],
    linux: {
      cgroupsPath: '/containers/c',
      namespaces: [{ type: 'uts' }, { type: 'network' }, { type: 'pid', path: '/kept' }],
    },
  });
  assert.equal(readFileSync(join(place.directory, 'hostname'), 'utf8'), 'a.example\n');
});

test('without a UTS namespace there is no name to set', async () => {
  const place = { id: 'c', directory: join(directory, 'nameless'), cgroupParent: '/containers' };
  const { hostname } = await setUpSpec({ ociVersion: '1.0.2', root: { path: root } }, place);
  assert.equal(hostname, undefined);
});

test('host names that could do harm and unknown types are refused', async () => {
  const place = { id: 'c', directory: join(directory, 'bad'), cgroupParent: '/containers' };
  await assert.rejects(setUpSpec({ ociVersion: '1.0.2', hostname: 'a\n127.0.0.1 b' }, place), (error) =>
    isHcsError(error, 'E_INVALIDARG'),
  );
  const annotations = { 'io.kubernetes.cri.container-type': 'sandbox' };
  await assert.rejects(setUpSpec({ ociVersion: '1.0.2', annotations }, place), (error) =>
    isHcsError(error, 'ERROR_NOT_SUPPORTED'),
  );
});

test('a process without a user is root', async () => {
  assert.deepEqual(await withUserIds({ user: {}, cwd: '/' }, root), { user: { uid: 0, gid: 0 }, cwd: '/' });
  assert.deepEqual(await withUserIds({ user: { uid: 7, umask: 0o22 }, cwd: '/' }, root), {
    user: { uid: 7, gid: 0, umask: 0o22 },
    cwd: '/',
  });
});

test('/etc/hosts and /etc/resolv.conf', () => {
  assert.match(hostsFile('web.example'), /^127\.0\.0\.1 localhost\n127\.0\.0\.1 web\.example web\n\n::1 /);
  assert.equal(
    resolvConfFile({ searches: ['a', 'b'], servers: ['1.1.1.1', '::1'], options: ['ndots:5'] }),
    'search a b\nnameserver 1.1.1.1\nnameserver ::1\noptions ndots:5\n',
  );
  assert.throws(() => resolvConfFile({ searches: ['1', '2', '3', '4', '5', '6', '7'] }), /7 search domains/);
});
