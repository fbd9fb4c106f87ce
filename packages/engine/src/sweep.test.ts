import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { describe, it } from 'node:test';
import type { ComputeSystemDocument } from '@hcsshim/schema';
import { identifyProcess, type ProcessIdentity, thisProcess } from './process-identity.ts';
import { StateDirectory, type SystemRecord } from './state-directory.ts';
import { SweepError, sweep } from './sweep.ts';

const document = { Owner: 'test', SchemaVersion: { Major: 2, Minor: 1 } } as ComputeSystemDocument;

/** What a process leaves that dies while it owns a system. */
async function abandon(
  state: StateDirectory,
  id: string,
  changes: Partial<SystemRecord> = {},
): Promise<string> {
  const { directory, record } = await prepare(state, id, changes);
  assert.ok(await state.publish(directory, id));
  return record.runtimeId;
}

async function prepare(
  state: StateDirectory,
  id: string,
  changes: Partial<SystemRecord> = {},
): Promise<{ directory: string; record: SystemRecord }> {
  const draft: Omit<SystemRecord, 'runtimeId'> = {
    version: 1,
    id,
    ownerName: 'test',
    owner: { ...thisProcess(), startTime: 1 },
    monitor: 'qemu',
    state: 'Running',
    createdAt: new Date().toISOString(),
    processes: [],
    ...changes,
  };
  const prepared = await state.prepare(draft, document);
  const { runtimeId } = prepared.record;
  writeFileSync(state.controlSocket(runtimeId), '');
  writeFileSync(join(state.monitorDirectory(runtimeId), 'file'), '');
  return prepared;
}

async function withState(work: (state: StateDirectory) => Promise<void>): Promise<void> {
  const root = await mkdtemp(join(tmpdir(), 'sweep-'));
  try {
    await work(new StateDirectory(root));
  } finally {
    await rm(root, { recursive: true });
  }
}

function filesOf(state: StateDirectory): string[] {
  return ['systems', 'm', 'c']
    .filter((name) => existsSync(join(state.root, name)))
    .flatMap((name) => readdirSync(join(state.root, name)));
}

describe('a sweep', () => {
  it('kills the recorded processes and removes all files of a dead owner', () =>
    withState(async (state) => {
      const child = spawn('sleep', ['60']);
      const gone = once(child, 'exit');
      const identity = identifyProcess(child.pid as number) as ProcessIdentity;
      const runtimeId = await abandon(state, 'dead', { processes: [identity] });
      assert.deepEqual(await sweep({ stateDirectory: state.root }), [
        { id: 'dead', runtimeId, ownerPid: process.pid, killed: [identity.pid] },
      ]);
      const [, signal] = (await gone) as [unknown, string];
      assert.equal(signal, 'SIGKILL');
      assert.deepEqual(filesOf(state), []);
    }));

  it('spares a process that has the pid of a recorded one', () =>
    withState(async (state) => {
      const child = spawn('sleep', ['60']);
      const identity = identifyProcess(child.pid as number) as ProcessIdentity;
      await abandon(state, 'dead', { processes: [{ ...identity, startTime: identity.startTime + 1 }] });
      const [swept] = await sweep({ stateDirectory: state.root });
      assert.deepEqual(swept?.killed, []);
      assert.ok(identifyProcess(identity.pid));
      child.kill();
      await once(child, 'exit');
    }));

  it('spares systems whose owners live, and those that were not asked for', () =>
    withState(async (state) => {
      await abandon(state, 'alive', { owner: thisProcess() });
      await abandon(state, 'dead');
      await abandon(state, 'asked');
      const swept = await sweep({ stateDirectory: state.root, ids: ['alive', 'asked', 'nobody'] });
      assert.deepEqual(
        swept.map(({ id }) => id),
        ['asked'],
      );
      assert.ok(existsSync(state.systemDirectory('alive')));
      assert.ok(existsSync(state.systemDirectory('dead')));
    }));

  it('is done once by many at the same time', () =>
    withState(async (state) => {
      for (const id of ['a', 'b', 'c']) await abandon(state, id);
      const swept = await Promise.all(Array.from({ length: 5 }, () => sweep({ stateDirectory: state.root })));
      assert.deepEqual(
        swept
          .flat()
          .map(({ id }) => id)
          .sort(),
        ['a', 'b', 'c'],
      );
      assert.deepEqual(filesOf(state), []);
    }));

  it('goes on where another sweeper has died', () =>
    withState(async (state) => {
      await abandon(state, 'dead');
      const claim = join(state.systemDirectory('dead'), 'sweeper.json');
      writeFileSync(claim, JSON.stringify({ ...thisProcess(), startTime: 1 }));
      assert.equal((await sweep({ stateDirectory: state.root })).length, 1);
      assert.deepEqual(filesOf(state), []);
    }));

  it('removes directories that were never finished, but none in the making', () =>
    withState(async (state) => {
      const { pid, startTime } = thisProcess();
      const inTheMaking = `.new-${pid}-${startTime}-00000000`;
      for (const name of [inTheMaking, `.new-${pid}-1-00000000`, `.old-${pid}-1-00000000`]) {
        mkdirSync(join(state.systems, name), { recursive: true });
      }
      await sweep({ stateDirectory: state.root });
      assert.deepEqual(readdirSync(state.systems), [inTheMaking]);
    }));

  it('removes all that a maker had made who died before the system had its name', () =>
    withState(async (state) => {
      const { directory } = await prepare(state, 'half');
      const { pid, startTime } = thisProcess();
      const ofTheDead = directory.replace(`.new-${pid}-${startTime}-`, `.new-${pid}-1-`);
      renameSync(directory, ofTheDead);
      const living = await prepare(state, 'in the making');
      await sweep({ stateDirectory: state.root });
      const digits = living.record.runtimeId.slice(0, 8);
      assert.deepEqual(filesOf(state), [basename(living.directory), digits, digits]);
    }));

  it('goes on past records that it cannot read, removes nothing of theirs, and then says which', () =>
    withState(async (state) => {
      const damaged = await abandon(state, 'a-damaged');
      writeFileSync(join(state.systemDirectory('a-damaged'), 'state.json'), '');
      await abandon(state, 'dead');
      const error = await sweep({ stateDirectory: state.root }).then(
        () => assert.fail('the sweep succeeded'),
        (reason: unknown) => reason,
      );
      assert.ok(error instanceof SweepError);
      assert.match(error.message, /"a-damaged".*not JSON.*remove/);
      assert.deepEqual(
        error.swept.map(({ id }) => id),
        ['dead'],
      );
      assert.ok(existsSync(state.systemDirectory('a-damaged')));
      assert.ok(existsSync(state.monitorDirectory(damaged)));
      assert.ok(!existsSync(state.systemDirectory('dead')));
    }));

  it('removes unfinished directories also when their record is damaged', () =>
    withState(async (state) => {
      mkdirSync(join(state.systems, `.new-${process.pid}-1-0a1b2c3d`), { recursive: true });
      writeFileSync(join(state.systems, `.new-${process.pid}-1-0a1b2c3d`, 'state.json'), '');
      await sweep({ stateDirectory: state.root });
      assert.deepEqual(filesOf(state), []);
    }));

  it('of a host without any state does nothing', () =>
    withState(async (state) => {
      assert.deepEqual(await sweep({ stateDirectory: join(state.root, 'none') }), []);
      assert.deepEqual(await sweep({ stateDirectory: join(state.root, 'none'), ids: ['x'] }), []);
    }));
});
