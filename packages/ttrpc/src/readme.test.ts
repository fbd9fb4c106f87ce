import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

test('the example of README.md prints what it says', async () => {
  const folder = fileURLToPath(new URL('..', import.meta.url));
  const readme = await readFile(`${folder}/README.md`, 'utf8');
  const example = /```ts\n(.*?)```/s.exec(readme)?.[1] ?? '';
  const expected = [...example.matchAll(/\/\/ → (.*)/g)].map(([, line]) => line);
  assert.ok(expected.length > 0);
  const output = await new Promise<string>((resolve, reject) => {
    const args = ['--disable-warning=ExperimentalWarning', '--input-type=module-typescript', '-'];
    const child = execFile(process.execPath, args, { cwd: folder }, (error, stdout) =>
      error ? reject(error) : resolve(stdout),
    );
    child.stdin?.end(example);
  });
  assert.deepEqual(output.trimEnd().split('\n'), expected);
});
