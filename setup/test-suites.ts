import { spawn } from 'node:child_process';
import { glob, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findUncalled } from '../test/wine/call-record.ts';
import { startWineTestServices } from '../test/wine/services.ts';
import { installDebianPackages } from './debian-packages.ts';
import { prepare, root } from './prepare.ts';
import { StepDisplay } from './terminal.ts';
import { Wine, windowsPath } from './wine.ts';

/** Longest that all tests under Wine may take together, in milliseconds. */
const wineTimeout = 600_000;
/** How often the tests under Wine are run when Wine's server is lost. */
const wineAttempts = 4;

/** Runs the gate without its tests, then the unit tests. Arguments narrow the unit tests to folders. */
export async function runUnitTests(folders: readonly string[] = []): Promise<number> {
  // Without boot files the QEMU engine's contract would be left out.
  await prepare(new StepDisplay(), {
    packages: ['crun', 'runc', 'busybox', 'e2fsprogs', 'verity', 'attr', 'qemu', 'xz'],
    bootFiles: folders.length === 0,
  });
  const gate = folders.length === 0 ? await run('the gate', ['tools/check.ts', '--no-tests']) : 0;
  const tests = await run('unit tests', ['tools/unit-tests.ts', ...folders]);
  return gate || tests;
}

/** Runs `test/**\/*.e2e.ts` against real parts, which it installs and builds first. */
export async function runEndToEndTests(patterns: readonly string[] = []): Promise<number> {
  await prepare(new StepDisplay(), {
    packages: ['containerd', 'crun', 'runc', 'busybox', 'e2fsprogs', 'qemu', 'xz', 'iproute2'],
    bootFiles: true,
  });
  const files: string[] = [];
  for await (const file of glob(patterns.length > 0 ? [...patterns] : ['test/**/*.e2e.ts'], { cwd: root }))
    files.push(file);
  if (files.length === 0)
    throw new Error(`Cannot run end-to-end tests: no file matches ${patterns.join(', ')}`);
  // Two at a time: one waits for an emulated guest while the other has the second core.
  return run('end-to-end tests', [
    '--disable-warning=ExperimentalWarning',
    '--test',
    '--test-concurrency=2',
    '--test-timeout=600000',
    ...files.sort(),
  ]);
}

/**
 * Runs `test/wine/*.wine.ts` under Wine, which it installs first, against stand-in DLLs, which it builds. A run of all fails,
 * too, when a procedure of the tables in `packages/windows` was not called by any of them.
 */
export async function runWineTests(patterns: readonly string[] = []): Promise<number> {
  const display = new StepDisplay();
  await display.step('Debian packages', () =>
    installDebianPackages(['crun', 'wine', 'wine64', 'mingw'], (line) => display.line(line)),
  );
  const files: string[] = [];
  for await (const file of glob(patterns.length > 0 ? [...patterns] : ['test/wine/*.wine.ts'], { cwd: root }))
    files.push(file);
  if (files.length === 0)
    throw new Error(`Cannot run tests under Wine: no file matches ${patterns.join(', ')}`);
  await using wine = await Wine.start(display);
  for (let attempt = 1; ; attempt++) {
    const result = await runWineTestFiles(wine, files, patterns.length === 0);
    if (result !== undefined) return result;
    if (attempt === wineAttempts) return 1;
    console.log("== tests under Wine: Wine's own server has crashed, all begins anew");
  }
}

/** Gives the exit code, undefined when Wine's server was lost. */
async function runWineTestFiles(
  wine: Wine,
  files: readonly string[],
  isAll: boolean,
): Promise<number | undefined> {
  await using services = await startWineTestServices();
  const record = await mkdtemp(join(tmpdir(), 'hcsshim-calls-'));
  await using cleanUp = new AsyncDisposableStack();
  cleanUp.defer(() => rm(record, { recursive: true, force: true }));
  console.log(`\n== tests under Wine: node.exe --test ${files.length} files`);
  const start = performance.now();
  const { exitCode, signal, lostServer } = await wine.runNode(
    [
      '--test',
      '--test-reporter=spec',
      '--test-concurrency=2',
      '--test-timeout=120000',
      ...files.toSorted().map((file) => windowsPath(join(root, file))),
    ],
    {
      environment: { ...services.environment, HCSSHIM_CALL_RECORD: windowsPath(record) },
      timeout: wineTimeout,
    },
  );
  const took = ((performance.now() - start) / 1000).toFixed(0);
  console.log(
    `== tests under Wine: ${exitCode === 0 ? 'passed' : `FAILED (${signal ?? exitCode})`} in ${took} s`,
  );
  if (lostServer) return undefined;
  const uncalled = isAll ? await findUncalled(record) : [];
  for (const procedure of uncalled) console.log(`== no test under Wine calls: ${procedure}`);
  return exitCode === 0 && uncalled.length > 0 ? 1 : (exitCode ?? 1);
}

async function run(title: string, args: readonly string[]): Promise<number> {
  console.log(`\n== ${title}: node ${args.slice(0, 4).join(' ')}${args.length > 4 ? ' …' : ''}`);
  const start = performance.now();
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const child = spawn(process.execPath, args, {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, PATH: `${join(root, 'node_modules/.bin')}:${process.env.PATH}` },
  });
  child.once('error', reject);
  child.once('close', (code) => resolve(code ?? 1));
  const code = await promise;
  console.log(
    `== ${title}: ${code === 0 ? 'passed' : 'FAILED'} in ${((performance.now() - start) / 1000).toFixed(0)} s`,
  );
  return code;
}
