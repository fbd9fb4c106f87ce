import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { killProcess, waitForProcessEnd } from './process.ts';

test('the end of any process can be awaited, its parent still gets its exit code', async () => {
  const child = spawn('sh', ['-c', 'read line; exit 3'], { stdio: ['pipe', 'ignore', 'ignore'] });
  const exit = once(child, 'exit');
  const ended = waitForProcessEnd(child.pid!);
  await assert.rejects(waitForProcessEnd(child.pid!, { signal: AbortSignal.timeout(5) }), {
    name: 'TimeoutError',
  });
  child.stdin.end();
  await ended;
  assert.deepEqual(await exit, [3, null]);
  await waitForProcessEnd(child.pid!);
});

test('killing a process that is gone is ESRCH', async () => {
  const child = spawn('true');
  await once(child, 'exit');
  assert.throws(() => killProcess(child.pid!, 'SIGTERM'), { name: 'SystemCallError', code: 'ESRCH' });
});

test('a subreaper collects orphans with how they ended, and leaves the children of Node to Node', () => {
  const index = JSON.stringify(new URL('./index.ts', import.meta.url).href);
  const script = `
    import { spawn } from 'node:child_process';
    import { once } from 'node:events';
    import { reapOrphans, setChildSubreaper, setDeathSignal } from ${index};
    setDeathSignal('SIGKILL');
    setChildSubreaper();
    // The shell leaves two orphans and ends; cat is a child of Node's that outlives them.
    const cat = spawn('cat', { stdio: ['pipe', 'ignore', 'inherit'] });
    const shell = spawn('sh', ['-c', '(sleep 0.05; exit 5) & (sleep 0.05; kill -9 $(sh -c "echo \\\\$PPID")) & echo'], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [shellCode] = await once(shell, 'exit');
    const owned = new Set([cat.pid, shell.pid]);
    const exits = [];
    for (let round = 0; exits.length < 2 && round < 1000; round++) {
      exits.push(...reapOrphans((pid) => owned.has(pid)));
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    cat.stdin.end();
    const [catCode] = await once(cat, 'exit');
    console.log(JSON.stringify({ shellCode, catCode, exits: exits.map(({ exitCode, signal }) => [exitCode, signal]).sort() }));`;
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    encoding: 'utf8',
  });
  assert.equal(stderr, '');
  assert.deepEqual(JSON.parse(stdout), {
    shellCode: 0,
    catCode: 0,
    exits: [
      [137, 'SIGKILL'],
      [5, null],
    ],
  });
});
