/**
 * Runs the unit tests: every `*.test.ts` beside the code. Arguments narrow it to folders.
 *
 *     node tools/unit-tests.ts [folder …]
 */
import { spawn } from 'node:child_process';
import { glob } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const folders = process.argv.slice(2);
const patterns = (
  folders.length > 0 ? folders : ['packages/*/src', 'cmd/*/src', 'boot', 'tools', 'setup']
).map((folder) => `${folder}/**/*.test.ts`);
const files: string[] = [];
for await (const file of glob(patterns, { cwd: root, exclude: (name) => name === 'node_modules' }))
  files.push(file);
if (files.length === 0) throw new Error(`Cannot run unit tests: no *.test.ts below ${folders.join(', ')}`);

const child = spawn(
  process.execPath,
  [
    '--disable-warning=ExperimentalWarning',
    '--test',
    '--test-concurrency=2',
    '--test-timeout=300000',
    ...files.sort(),
  ],
  { cwd: root, stdio: 'inherit' },
);
child.once('close', (code) => {
  process.exitCode = code ?? 1;
});
