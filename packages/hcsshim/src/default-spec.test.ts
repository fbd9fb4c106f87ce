import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defaultProcess, defaultSpec } from './default-spec.ts';

const image = {
  Entrypoint: ['/entry'],
  Cmd: ['default'],
  Env: ['PATH=/bin', 'A=1'],
  WorkingDir: '/srv',
  User: 'web',
};

test("without arguments the image's entrypoint and command run, as its user, in its folder", () => {
  const { args, cwd, user } = defaultProcess(image);
  assert.deepEqual(
    { args, cwd, user },
    { args: ['/entry', 'default'], cwd: '/srv', user: { username: 'web' } },
  );
});

test("arguments replace the image's command, not its entrypoint", () => {
  assert.deepEqual(defaultProcess(image, { args: ['x', 'y'] }).args, ['/entry', 'x', 'y']);
});

test("the caller's environment wins over the image's, and that over the default", () => {
  assert.deepEqual(defaultProcess(image, { env: ['A=2', 'B=3'] }).env, ['PATH=/bin', 'A=2', 'B=3']);
});

test('a terminal has a size and TERM', () => {
  const { terminal, consoleSize, env } = defaultProcess(image, { terminal: { columns: 100, rows: 30 } });
  assert.equal(terminal, true);
  assert.deepEqual(consoleSize, { width: 100, height: 30 });
  assert.ok(env?.includes('TERM=xterm'));
});

test('an image without a command needs one', () => {
  assert.throws(() => defaultProcess({}), /names no command, give one after "--"/);
});

test('a container sees none of the host: its namespaces are its own', () => {
  const types = defaultSpec(image).linux?.namespaces?.map(({ type }) => type);
  assert.deepEqual(types, ['pid', 'ipc', 'uts', 'mount', 'network']);
});
