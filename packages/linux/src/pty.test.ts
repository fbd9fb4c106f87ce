import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readSync } from 'node:fs';
import { test } from 'node:test';
import { openPty, resizePty } from './pty.ts';

test('a process on the slave sees a terminal of the given size', async () => {
  const { masterFd, slavePath } = openPty();
  resizePty(masterFd, { columns: 132, rows: 43 });
  const slave = openSync(slavePath, 'r+');
  const child = spawn('stty', ['size'], { stdio: [slave, slave, 'inherit'] });
  const [code] = await once(child, 'exit');
  assert.equal(code, 0);
  const output = Buffer.alloc(64);
  assert.equal(output.toString('utf8', 0, readSync(masterFd, output)), '43 132\r\n');
  closeSync(slave);
  assert.throws(() => readSync(masterFd, output), { code: 'EIO' });
  closeSync(masterFd);
});
