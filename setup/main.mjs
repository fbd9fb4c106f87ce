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

const commands = ['hello', 'test', 'test-unit', 'test-e2e', 'boot-build', 'bench'];
const [command, ...args] = process.argv.slice(2);

if (!commands.includes(command ?? '')) fail(`Cannot run "${command}": choose from ${commands.join(', ')}`);
if (process.platform !== 'linux' || process.arch !== 'x64') {
  fail(`Cannot run on ${process.platform}-${process.arch}: these commands need Linux on x86-64`);
}
installNpmPackages();
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
  const result = spawnSync('npm', ['ci', '--no-fund', '--no-audit', '--loglevel=error'], {
    cwd: root,
    stdio: 'inherit',
  });
  if (result.error) fail(`Cannot install the npm packages: ${result.error.message}, is npm on the PATH?`);
  if (result.status !== 0)
    fail(`Cannot install the npm packages: npm ci ended with exit code ${result.status}`);
  writeFileSync(stamp, lock);
}

function fail(message) {
  console.error(message);
  process.exit(1);
}
