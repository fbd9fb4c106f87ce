/**
 * The gate: everything that must hold before a change lands, each step with its time.
 *
 *     node tools/check.ts [--no-tests]
 */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const bin = (name: string): string => join(root, 'node_modules/.bin', name);

const steps: { name: string; command: string[] }[] = [
  { name: 'format and lint', command: [bin('biome'), 'ci', '--colors=off', '.'] },
  { name: 'types', command: [bin('tsc'), '-p', '.'] },
  { name: 'imports', command: [process.execPath, 'tools/check-imports.ts'] },
  { name: 'unused code', command: [bin('knip')] },
  { name: 'generated code', command: [process.execPath, 'tools/generate.ts', '--check'] },
];
if (!process.argv.includes('--no-tests')) {
  steps.push({ name: 'unit tests', command: [process.execPath, 'tools/unit-tests.ts'] });
}

const failed: string[] = [];
for (const { name, command } of steps) {
  const start = performance.now();
  console.log(`\n── ${name}`);
  const code = await run(command);
  console.log(
    `── ${name}: ${code === 0 ? 'ok' : 'FAILED'} (${((performance.now() - start) / 1000).toFixed(1)} s)`,
  );
  if (code !== 0) failed.push(name);
}
if (failed.length > 0) console.error(`\nThe gate is shut: ${failed.join(', ')}`);
process.exitCode = failed.length > 0 ? 1 : 0;

function run([command, ...args]: string[]): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const child = spawn(command as string, args, {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, PATH: `${join(root, 'node_modules/.bin')}:${process.env.PATH}` },
  });
  child.once('error', reject);
  child.once('close', (code) => resolve(code ?? 1));
  return promise;
}
