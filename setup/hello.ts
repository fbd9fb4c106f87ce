/**
 * The main job on a fresh machine: containerd runs a container in a utility VM.
 *
 *     npm run hello [-- --engine qemu|sandbox]
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { release } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { buildBusyboxImage, busyboxImageName } from './containerd/busybox-image.ts';
import { PrivateContainerd } from './containerd/private-containerd.ts';
import { waitForNoLeftovers } from './leftovers.ts';
import { prepare, programs } from './prepare.ts';
import { StepDisplay, seconds } from './terminal.ts';

const { values } = parseArgs({
  options: { engine: { type: 'string', default: 'qemu' }, help: { type: 'boolean', short: 'h' } },
});
const engines = ['qemu', 'sandbox'];
if (values.help) {
  console.log(
    'npm run hello [-- --engine qemu|sandbox]\n\nRuns "Hello World!" in a container, by containerd and the shim: in a utility VM, or in a sandbox without one.',
  );
} else if (!engines.includes(values.engine)) {
  console.error(`Cannot use engine "${values.engine}": choose "qemu" or "sandbox"`);
  process.exitCode = 1;
} else if (process.getuid?.() !== 0) {
  console.error('Cannot run containerd: it needs root, use "sudo npm run hello"');
  process.exitCode = 1;
} else {
  await hello(values.engine).catch((error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  });
}

async function hello(engine: string): Promise<void> {
  const display = new StepDisplay();
  await prepare(display, {
    packages: ['containerd', 'crun', 'busybox', ...(engine === 'qemu' ? (['qemu', 'xz'] as const) : [])],
    bootFiles: engine === 'qemu',
  });
  const stateDirectory = '/run/hcsshim-hello';
  await mkdir(stateDirectory, { recursive: true, mode: 0o700 });
  {
    await using containerd = await display.step('containerd, with a root, state and socket of its own', () =>
      PrivateContainerd.start({
        path: [programs],
        environment: { HCSSHIM_ENGINE: engine, HCSSHIM_STATE: stateDirectory },
      }),
    );
    await display.step(`image ${busyboxImageName}, built offline from busybox-static`, async () => {
      const path = join(containerd.directory, 'busybox.tar');
      await writeFile(path, await buildBusyboxImage());
      await succeed(containerd, ['image', 'import', path]);
    });
    display.line('$ ctr run --rm --runtime io.containerd.runhcs.v1 … hello echo "Hello World!"');
    const start = performance.now();
    const output = await display.step('container', () =>
      runContainer(containerd, 'hello', ['echo', 'Hello World!']),
    );
    const took = performance.now() - start;
    display.line(`\n    ${output}\n`);
    const again = performance.now();
    const guestKernel = await display.step('once more, to ask the guest for its kernel', () =>
      runContainer(containerd, 'kernel', ['uname', '-r']),
    );
    display.line(`    kernel in the container   ${guestKernel}`);
    display.line(`    kernel of this host       ${release()}`);
    if (engine === 'qemu') display.line(`    so it was ${guestKernel === release() ? 'NOT a VM' : 'a VM'}`);
    else display.line('    the sandbox engine shares the kernel of the host');
    display.line(
      `\nWhere the time went (first run ${seconds(took)}, second ${seconds(performance.now() - again)}):`,
    );
    for (const line of await phaseReport(containerd.logPath)) display.line(`    ${line}`);
  }
  const left = await display.step('everything that was started is gone', () =>
    waitForNoLeftovers(stateDirectory),
  );
  for (const item of left) display.line(`    left behind: ${item}`);
  if (left.length > 0) process.exitCode = 1;
}

async function runContainer(containerd: PrivateContainerd, id: string, command: string[]): Promise<string> {
  const runtime = 'io.containerd.runhcs.v1';
  return succeed(containerd, ['run', '--rm', '--runtime', runtime, busyboxImageName, id, ...command]);
}

async function succeed(containerd: PrivateContainerd, args: string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await containerd.ctr(args);
  if (exitCode === 0) return stdout.trim();
  const command = `ctr ${args.join(' ')}`;
  throw new Error(
    `"${command}" ended with exit code ${exitCode}: ${stderr.trim()}\n\nFrom containerd's log:\n${await containerd.logTail(40)}`,
  );
}

/** The phases that the shims wrote to containerd's log, in order, for the first and the second container. */
async function phaseReport(logPath: string): Promise<string[]> {
  const log = await readFile(logPath, 'utf8');
  const lines: string[] = [];
  for (const line of log.split('\n')) {
    if (!line.startsWith('{')) continue;
    try {
      const { msg, name, subject, ms } = JSON.parse(line) as Record<string, unknown>;
      if (msg === 'phase')
        lines.push(
          `${String(Math.round(Number(ms))).padStart(6)} ms  ${String(name).padEnd(34)} ${String(subject)}`,
        );
    } catch {
      // A line of containerd's own.
    }
  }
  return lines;
}
