import assert from 'node:assert/strict';
import { access, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { type Template, TemplateStore } from './template-store.ts';

let directory: string;
let store: TemplateStore;
let made: string[];
beforeEach(async () => {
  directory = join(await mkdtemp(join(tmpdir(), 'hcsshim-test-')), 'templates');
  store = new TemplateStore(directory);
  made = [];
});
afterEach(() => rm(join(directory, '..'), { recursive: true, force: true }));

async function make({ key, memoryPath, statePath }: Template): Promise<void> {
  made.push(key);
  await writeFile(memoryPath, `memory of ${key}`);
  await writeFile(statePath, `state of ${key}`);
}

describe('the template store', () => {
  test('makes a template once, for all that ask at the same time and after', async () => {
    const stores = [store, store, new TemplateStore(directory)];
    const templates = await Promise.all(stores.map((each) => each.findOrMake('a', {}, make)));
    templates.push(await store.findOrMake('a', {}, make));
    assert.deepEqual(made, ['a']);
    for (const { memoryPath } of templates) assert.equal(await readFile(memoryPath, 'utf8'), 'memory of a');
  });

  test('takes no template whose memory or state is not what was saved, and takes it away', async () => {
    const { memoryPath, statePath } = await store.findOrMake('a', {}, make);
    await truncate(memoryPath, 3);
    assert.equal(await store.find('a'), undefined);
    assert.deepEqual(await readdir(directory), []);
    await store.findOrMake('a', {}, make);
    await writeFile(statePath, 'STATE of a');
    await store.findOrMake('a', {}, make);
    assert.deepEqual(made, ['a', 'a', 'a']);
  });

  test('leaves nothing of a template that failed, and does not try again at once', async () => {
    const fail = async ({ memoryPath }: Template): Promise<void> => {
      await writeFile(memoryPath, '');
      throw new Error('the agent said nothing');
    };
    await assert.rejects(store.findOrMake('a', {}, fail), /^Error: the agent said nothing$/);
    assert.deepEqual(await readdir(directory), ['a.failed']);
    await assert.rejects(store.findOrMake('a', {}, make), /minutes ago: the agent said nothing/);
    assert.deepEqual(made, []);
  });

  test('does not hold a caller that gave up against the template', async () => {
    const controller = new AbortController();
    const giveUp = async (): Promise<void> => {
      controller.abort(new Error('enough'));
      throw controller.signal.reason;
    };
    await assert.rejects(store.findOrMake('a', { signal: controller.signal }, giveUp), /enough/);
    await store.findOrMake('a', {}, make);
    assert.deepEqual(made, ['a']);
  });

  test('keeps the four templates used last', async () => {
    for (const key of ['a', 'b', 'c', 'd']) {
      await store.findOrMake(key, {}, make);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    await store.find('a');
    const { memoryPath } = await store.findOrMake('e', {}, make);
    assert.deepEqual((await readdir(directory)).sort(), ['a', 'c', 'd', 'e']);
    await access(memoryPath);
  });
});
