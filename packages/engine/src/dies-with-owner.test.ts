import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { diesWithOwner } from './dies-with-owner.ts';

test('the command runs with its arguments as they are', async () => {
  const { program, args } = diesWithOwner(['printf', '%s|', 'a b', '$HOME', '', "it's"]);
  const { stdout } = await promisify(execFile)(program, args);
  assert.equal(stdout, "a b|$HOME||it's|");
});

test('the pid and the exit code are those of the command', async () => {
  const { program, args } = diesWithOwner(['sh', '-c', 'echo $$; exit 7']);
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.on('data', (chunk) => (output += chunk));
  const [code] = await once(child, 'close');
  assert.equal(code, 7);
  assert.equal(output, `${child.pid}\n`);
});

test('a command whose owner has died meanwhile does not run', async () => {
  const { program, args } = diesWithOwner(['echo', 'running']);
  // Another process starts it, as the one would that adopts orphans.
  const { stdout } = await promisify(execFile)('sh', ['-c', '"$@" || true', 'sh', program, ...args]);
  assert.equal(stdout, '');
});
