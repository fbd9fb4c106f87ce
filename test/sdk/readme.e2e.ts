import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { buildBusyboxImage } from '../../setup/containerd/busybox-image.ts';
import { waitForNoLeftovers } from '../../setup/leftovers.ts';
import { root } from '../../setup/prepare.ts';

test("the README's example of the SDK runs", { timeout: 120_000 }, async () => {
  const readme = await readFile(join(root, 'README.md'), 'utf8');
  const [, example] = /<!-- test\/sdk\/readme\.e2e\.ts.*-->\n```ts\n([\s\S]*?)```/.exec(readme) ?? [];
  assert.ok(example, 'the README has the example');
  const directory = await mkdtemp(join(tmpdir(), 'hcsshim-readme-'));
  const state = join(directory, 'state');
  try {
    await writeFile(join(directory, 'example.ts'), example);
    await writeFile(join(directory, 'package.json'), '{"type":"module"}');
    await writeFile(join(directory, 'busybox.tar'), await buildBusyboxImage());
    await symlink(join(root, 'node_modules'), join(directory, 'node_modules'));
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--disable-warning=ExperimentalWarning', 'example.ts'],
      {
        cwd: directory,
        env: { ...process.env, HCSSHIM_STATE: state, HCSSHIM_CACHE: join(directory, 'cache') },
      },
    );
    assert.equal(stdout, 'Hello World!\nand hello to you\nexit code 0\n');
    assert.deepEqual(await waitForNoLeftovers(state), []);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
});
