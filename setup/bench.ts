/** `npm run bench`: see `test/bench/run.ts`. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { prepare, root } from './prepare.ts';
import { StepDisplay } from './terminal.ts';

await prepare(new StepDisplay(), {
  packages: ['containerd', 'crun', 'runc', 'busybox', 'qemu', 'xz'],
  bootFiles: true,
});
const { status } = spawnSync(
  process.execPath,
  ['--disable-warning=ExperimentalWarning', join(root, 'test/bench/run.ts'), ...process.argv.slice(2)],
  { stdio: 'inherit' },
);
process.exitCode = status ?? 1;
