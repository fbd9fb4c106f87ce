import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import {
  childrenOf,
  identifyProcess,
  isRunning,
  mayBeRunning,
  type ProcessIdentity,
  signalProcess,
  thisProcess,
} from './process-identity.ts';

describe('a process', () => {
  it('is known by its pid and its start time together', async () => {
    const child = spawn('sleep', ['60']);
    const gone = once(child, 'exit');
    const identity = identifyProcess(child.pid as number) as ProcessIdentity;
    const another = { ...identity, startTime: identity.startTime - 1 };
    assert.ok(isRunning(identity));
    assert.ok(!isRunning(another));
    assert.ok(childrenOf(process.pid).includes(identity.pid));

    assert.equal(signalProcess(another, 'SIGKILL'), false);
    assert.ok(isRunning(identity));
    assert.equal(signalProcess(identity, 'SIGKILL'), true);
    await gone;
    assert.ok(!isRunning(identity));
    assert.equal(signalProcess(identity, 'SIGKILL'), false);
    assert.equal(identifyProcess(identity.pid), undefined);
  });

  it('with a name like a stat line is read all the same', async () => {
    const child = spawn(process.execPath, [
      '-e',
      'process.title = "x) R 1 2 ("; console.log("set"); setInterval(() => {}, 1000)',
    ]);
    await once(child.stdout, 'data');
    const identity = identifyProcess(child.pid as number) as ProcessIdentity;
    assert.ok(Math.abs(identity.startTime - thisProcess().startTime) < 100 * 3600);
    assert.ok(identity.startTime >= thisProcess().startTime);
    child.kill('SIGKILL');
    await once(child, 'exit');
  });

  it('that is a zombie no longer runs', async () => {
    // The shell becomes a sleep that never waits for the child that it had.
    const parent = spawn('sh', ['-c', 'sleep 0.01 & echo $!; exec sleep 60']);
    const [output] = (await once(parent.stdout, 'data')) as [Buffer];
    const pid = Number(output.toString());
    while (identifyProcess(pid)) await new Promise((resolve) => setTimeout(resolve, 5));
    parent.kill('SIGKILL');
    await once(parent, 'exit');
  });

  it('of before the last boot is gone, one of another PID namespace may live', () => {
    const self = thisProcess();
    assert.ok(mayBeRunning(self));
    assert.ok(!mayBeRunning({ ...self, startTime: 1 }));
    assert.ok(!mayBeRunning({ ...self, bootId: 'another' }));
    assert.ok(mayBeRunning({ ...self, startTime: 1, pidNamespace: 'pid:[1]' }));
  });
});
