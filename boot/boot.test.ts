import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, type TestContext, test } from 'node:test';
import { type BootFiles, ensureBootFiles } from './src/index.ts';

/*
 * Builds the real files, from packages that are downloaded once and kept in the cache, and boots them under
 * emulation with an agent that says what it sees.
 */

const agent = `
const fs = require('node:fs');
const { execFileSync, spawnSync } = require('node:child_process');
const run = (program, ...args) => spawnSync(program, args, { encoding: 'utf8' });
const modprobe = run('modprobe', '-a', '9p', '9pnet_virtio', 'virtio_net', 'dm-crypt', 'nd_pmem', 'virtiofs');
fs.writeFileSync('/etc/written', 'yes');
const seen = {
  pid: process.pid,
  arguments: process.argv.slice(2),
  release: fs.readFileSync('/proc/sys/kernel/osrelease', 'utf8').trim(),
  rootType: fs.readFileSync('/proc/mounts', 'utf8').split('\\n').find((line) => line.split(' ')[1] === '/').split(' ')[2],
  written: fs.readFileSync('/etc/written', 'utf8'),
  vsock: fs.existsSync('/dev/vsock'),
  modprobe: modprobe.status + modprobe.stderr,
  filesystems: fs.readFileSync('/proc/filesystems', 'utf8').includes('9p'),
  crun: run('crun', '--version').stdout.split('\\n')[0],
  mkfs: run('mkfs.ext4', '-V').stderr.split(' ')[0],
  extra: fs.existsSync('/extra/file'),
};
fs.writeFileSync('/dev/console', 'AGENT ' + JSON.stringify(seen) + '\\n');
run('poweroff', '-f');
`;

let skip = spawnSync('qemu-system-x86_64', ['--version']).error && 'no qemu-system-x86_64 on this host';
if (spawnSync('apt-cache', ['--version']).error) skip = 'no apt on this host';

let directory: string;
let agentBundle: string;
let files: BootFiles;

before(async () => {
  if (skip) return;
  directory = mkdtempSync(join(tmpdir(), 'hcsshim-boot-'));
  agentBundle = join(directory, 'agent.cjs');
  writeFileSync(agentBundle, agent);
  files = await ensureBootFiles({ outDir: join(directory, 'out'), agentBundle });
});
after(() => {
  if (!skip) rmSync(directory, { recursive: true, force: true });
});

test('the files boot to the agent as PID 1, on a root that can be written', {
  skip,
  timeout: 300_000,
}, async (t) => {
  const { console, code } = await boot(t, files, { disk: true });
  const line = console.split(/\r?\n/).find((candidate) => candidate.startsWith('AGENT '));
  assert.ok(line, `no word of the agent on the console:\n${console.slice(-2000)}`);
  const { release, crun, ...seen } = JSON.parse(line.slice('AGENT '.length)) as Record<string, unknown>;
  assert.deepEqual(seen, {
    pid: 1,
    arguments: ['-e', '1', '/bin/vsockexec', '-e', '109', '/bin/gcs', '-v4', '-loglevel', 'debug'],
    rootType: 'overlay',
    written: 'yes',
    vsock: true,
    modprobe: '0',
    filesystems: true,
    mkfs: 'mke2fs',
    extra: false,
  });
  assert.match(String(crun), /^crun version /);
  const manifest = JSON.parse(readFileSync(join(directory, 'out/boot.json'), 'utf8')) as {
    kernelRelease: string;
  };
  assert.equal(release, manifest.kernelRelease);
  assert.equal(code, 0);
});

test('a VM without a root disk says so on its console and powers off', {
  skip,
  timeout: 300_000,
}, async (t) => {
  const { console, code } = await boot(t, files, { disk: false });
  assert.match(
    console,
    /hcsshim: Cannot boot: no root disk \/dev\/sda within 10 s, attach it to SCSI controller 0/,
  );
  assert.equal(code, 0);
});

test('a second build does nothing', { skip }, async () => {
  const outDir = join(directory, 'out');
  const stamps = (): string[] =>
    readdirSync(outDir).map(
      (name) => `${name} ${statSync(join(outDir, name)).ino} ${statSync(join(outDir, name)).mtimeMs}`,
    );
  const earlier = stamps();
  const again = await ensureBootFiles({ outDir, agentBundle });
  assert.deepEqual(again, files);
  assert.deepEqual(stamps(), earlier);
});

test('the same inputs make the same bytes in another place, with nothing unpacked before', {
  skip,
}, async () => {
  const outDir = join(directory, 'elsewhere');
  const cacheDir = join(directory, 'cache');
  const known = process.env.HCSSHIM_CACHE
    ? join(process.env.HCSSHIM_CACHE, 'boot')
    : '/var/cache/hcsshim/boot';
  // Without the packages they are downloaded again, which proves the same at more cost.
  if (existsSync(known))
    cpSync(known, cacheDir, { recursive: true, filter: (path) => !path.endsWith('.tar') });
  const steps: string[] = [];
  const other = await ensureBootFiles({
    outDir,
    agentBundle,
    cacheDir,
    onProgress: (step, fraction) => steps.push(`${fraction.toFixed(2)} ${step}`),
  });
  assert.equal(other.key, files.key);
  assert.deepEqual(steps, [...steps].sort(), 'progress goes back');
  for (const name of readdirSync(join(directory, 'out'))) {
    const [one, two] = [join(directory, 'out', name), join(outDir, name)].map((path) => readFileSync(path));
    assert.ok(one?.equals(two as Buffer), `${name} differs`);
  }
  assert.deepEqual(readdirSync(outDir).sort(), readdirSync(join(directory, 'out')).sort());
  rmSync(outDir, { recursive: true });
});

test('another base makes another key, and its files are in the root file system', { skip }, async () => {
  const base = join(directory, 'base.tar.gz');
  const tree = join(directory, 'base/extra');
  cpSync(agentBundle, join(tree, 'file'));
  spawnSync('tar', ['-C', join(directory, 'base'), '-czf', base, 'extra']);
  const outDir = join(directory, 'based');
  const based = await ensureBootFiles({ outDir, agentBundle, base });
  assert.notEqual(based.key, files.key);
  const list = spawnSync('tar', ['-tzf', join(outDir, 'rootfs.tar.gz')], {
    encoding: 'utf8',
    maxBuffer: 2 ** 24,
  }).stdout;
  assert.ok(list.split('\n').includes('extra/file'));
  assert.ok(list.split('\n').includes('sbin/init'));
  rmSync(outDir, { recursive: true });
});

test('an agent bundle that is not there is an error with its path', { skip }, async () => {
  await assert.rejects(
    ensureBootFiles({ outDir: join(directory, 'out'), agentBundle: '/nonexistent/gcs.cjs' }),
    /^Error: Cannot read the agent bundle "\/nonexistent\/gcs\.cjs": ENOENT/,
  );
});

test('a build that is given up leaves no files behind', { skip }, async () => {
  const outDir = join(directory, 'aborted');
  const controller = new AbortController();
  const reason = new Error('enough');
  await assert.rejects(
    ensureBootFiles({
      outDir,
      agentBundle,
      signal: controller.signal,
      onProgress: (step) => step === 'making the root file system' && controller.abort(reason),
    }),
    reason,
  );
  assert.deepEqual(readdirSync(outDir), []);
});

/** Runs the files in QEMU under emulation until the guest powers off. */
async function boot(
  t: TestContext,
  { kernel, initrd, rootfsVhd }: BootFiles,
  { disk }: { disk: boolean },
): Promise<{ console: string; code: number | null }> {
  const size = statSync(rootfsVhd).size - 512;
  const file = { driver: 'file', filename: rootfsVhd, 'read-only': true, locking: 'off' };
  const blockdev = { 'node-name': 'root', driver: 'raw', 'read-only': true, offset: 0, size, file };
  const append = 'console=ttyS0 panic=-1 quiet -- -e 1 /bin/vsockexec -e 109 /bin/gcs -v4 -loglevel debug';
  const qemu: ChildProcess = spawn(
    'setpriv',
    [
      ...[
        '--pdeathsig',
        'KILL',
        '--',
        'qemu-system-x86_64',
        '-nodefaults',
        '-no-user-config',
        '-display',
        'none',
      ],
      ...['-M', 'q35', '-accel', 'tcg', '-cpu', 'max', '-m', '512', '-no-reboot', '-serial', 'stdio'],
      ...['-kernel', kernel, '-initrd', initrd, '-append', append],
      ...['-device', 'virtio-scsi-pci,id=scsi0', '-device', 'virtio-serial-pci', '-device', 'pvpanic-pci'],
      ...(disk
        ? ['-blockdev', JSON.stringify(blockdev), '-device', 'scsi-hd,bus=scsi0.0,scsi-id=0,lun=0,drive=root']
        : []),
    ],
    { stdio: ['ignore', 'pipe', 'pipe'], signal: t.signal, killSignal: 'SIGKILL' },
  );
  let console = '';
  qemu.stdout?.setEncoding('utf8').on('data', (text: string) => (console += text));
  qemu.stderr?.setEncoding('utf8').on('data', (text: string) => (console += text));
  const { promise, resolve, reject } = Promise.withResolvers<number | null>();
  qemu.once('error', reject);
  qemu.once('close', resolve);
  return { code: await promise, console };
}
