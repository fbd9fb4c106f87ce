import assert from 'node:assert/strict';
import { test } from 'node:test';
import { infiniteTimeout, isHcsError } from '@hcsshim/schema';
import { GuestProcess } from './guest-process.ts';
import { ProcessTable } from './process-table.ts';

test('an exit that nobody has asked for is never forgotten; of those told, the last 256 are kept', async () => {
  const table = new ProcessTable('the VM');
  table.add(new GuestProcess(1, Promise.resolve(11)));
  for (let pid = 2; pid < 302; pid++) {
    const process = new GuestProcess(pid, Promise.resolve(0));
    table.add(process);
    await process.wait(infiniteTimeout);
  }
  assert.equal(await table.get(1).wait(infiniteTimeout), 11);
  assert.equal(await table.get(301).wait(infiniteTimeout), 0);
  assert.throws(
    () => table.get(2),
    (error) => isHcsError(error, 'ERROR_NOT_FOUND'),
  );
});

test('an id that is used again means the new process', async () => {
  const table = new ProcessTable('the VM');
  const old = new GuestProcess(7, Promise.resolve(1));
  table.add(old);
  await old.wait(infiniteTimeout);
  table.add(new GuestProcess(7, Promise.resolve(2)));
  assert.equal(await table.get(7).wait(infiniteTimeout), 2);
});

test('a wait that runs out does not take the exit from the others', async () => {
  const exit = Promise.withResolvers<number>();
  const process = new GuestProcess(9, exit.promise);
  const patient = process.wait(infiniteTimeout);
  await assert.rejects(process.wait(5), (error) => isHcsError(error, 'HCS_E_CONNECTION_TIMEOUT'));
  exit.resolve(3);
  assert.equal(await patient, 3);
  assert.equal(await process.wait(0), 3);
});

test('an ended process cannot be signalled, although its id may belong to another by now', async () => {
  const ended = new GuestProcess(process.pid, Promise.resolve(0));
  await ended.exited;
  assert.throws(
    () => ended.kill(0),
    (error) => isHcsError(error, 'ERROR_NOT_FOUND'),
  );
});
