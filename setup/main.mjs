// The way in for `npm run hello`, `npm test` and the other commands of the README. It runs under any
// Node from 20 on: it installs the npm packages if they are missing or stale, then goes on under the Node
// that the project pins.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const pinnedNode = join(root, 'node_modules/node/bin/node');
const stamp = join(root, 'node_modules/.hcsshim-lock');

const commands = ['hello', 'test', 'test-unit', 'test-e2e', 'test-wine', 'boot-build', 'bench'];
const [command, ...args] = process.argv.slice(2);

if (!commands.includes(command ?? '')) fail(`Cannot run "${command}": choose from ${commands.join(', ')}`);
if (process.platform !== 'linux' || process.arch !== 'x64') {
  fail(`Cannot run on ${process.platform}-${process.arch}: these commands need Linux on x86-64`);
}
installNpmPackages();
installNodeLibraries();
const { status, signal } = spawnSync(
  pinnedNode,
  ['--disable-warning=ExperimentalWarning', join(root, 'setup', `${command}.ts`), ...args],
  {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, PATH: `${join(root, 'node_modules/.bin')}:${process.env.PATH}` },
  },
);
process.exit(status ?? (signal ? 1 : 0));

function installNpmPackages() {
  const lock = createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex');
  const installed = existsSync(stamp) && existsSync(pinnedNode) && readFileSync(stamp, 'utf8') === lock;
  if (installed) return;
  console.log('→ npm ci (npm packages, the pinned Node 26 among them)');
  const result = spawnSync('npm', ['ci', '--ignore-scripts', '--no-fund', '--no-audit', '--loglevel=error'], {
    cwd: root,
    stdio: 'inherit',
  });
  if (result.error) fail(`Cannot install the npm packages: ${result.error.message}, is npm on the PATH?`);
  if (result.status !== 0)
    fail(`Cannot install the npm packages: npm ci ended with exit code ${result.status}`);
  writeFileSync(stamp, lock);
}

/** Node 26 needs a library that a minimal Debian lacks, and without it cannot say so itself. */
function installNodeLibraries() {
  if (spawnSync(pinnedNode, ['--version']).status === 0) return;
  const aptGet = ['apt-get', 'install', '-y', '-qq', '--no-install-recommends', 'libatomic1'];
  if (process.getuid() !== 0) {
    fail(`Cannot start the pinned Node: a library is missing, run "sudo ${aptGet.join(' ')}" and try again`);
  }
  console.log(
    '→ the Debian package libatomic1 is missing and will be installed with apt-get (as root): Node 26 needs it',
  );
  const run = (command) =>
    spawnSync(command[0], command.slice(1), {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    }).status === 0;
  if (!run(aptGet) && !(run(['apt-get', 'update', '-qq']) && run(aptGet))) {
    fail('Cannot install libatomic1: apt-get failed, see above');
  }
  if (spawnSync(pinnedNode, ['--version'], { stdio: 'inherit' }).status !== 0) {
    fail('Cannot start the pinned Node, see above');
  }
}

function fail(message) {
  console.error(message);
  process.exit(1);
}
