import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { makePrivateState, thisProcess } from '@hcsshim/engine/private-state';
import { type ContainerRecord, containerPaths, listContainers } from './container-record.ts';
import { stopContainer } from './control-client.ts';
import { type ControlledContainer, ControlServer } from './control-server.ts';

const { HCSSHIM_STATE: askedState } = process.env;
let root: string;
let containers: string;

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'control-'));
  containers = join(root, 'containers');
  process.env.HCSSHIM_STATE = root;
  await makePrivateState(root, ['containers']);
});
afterEach(() => {
  rmSync(root, { recursive: true });
  if (askedState === undefined) delete process.env.HCSSHIM_STATE;
  else process.env.HCSSHIM_STATE = askedState;
});

function recordOf(id: string): ContainerRecord {
  return {
    id,
    image: 'image.tar',
    engine: 'sandbox',
    command: ['true'],
    owner: process.pid,
    createdAt: new Date().toISOString(),
  };
}

function container(stop: () => Promise<void> = async () => {}): ControlledContainer {
  return { stop, exec: async () => assert.fail('nothing is to be run') };
}

async function listedIds(): Promise<string[]> {
  return (await listContainers()).map(({ id }) => id).sort();
}

/** What an owner leaves that is killed. */
function abandon(id: string, owner: object | undefined): string {
  const directory = dirname(containerPaths(id).record);
  mkdirSync(directory, { recursive: true });
  writeFileSync(
    containerPaths(id).record,
    owner ? JSON.stringify({ ...recordOf(id), process: { ...thisProcess(), ...owner } }) : '',
  );
  return directory;
}

describe('the record of a container', () => {
  it('is listed as it was given while the container is served, and gone afterwards', async () => {
    const record = recordOf('x');
    {
      await using _server = await ControlServer.listen(container(), record);
      assert.deepEqual(await listContainers(), [record]);
    }
    assert.deepEqual(readdirSync(containers), []);
  });

  it('survives being listed while it is made', async () => {
    const ids = Array.from({ length: 40 }, (_, index) => `c${index}`).sort();
    await using servers = new AsyncDisposableStack();
    let made = false;
    const listing = (async () => {
      while (!made) await listContainers();
    })();
    for (const id of ids) servers.use(await ControlServer.listen(container(), recordOf(id)));
    made = true;
    await listing;
    assert.deepEqual(await listedIds(), ids);
  });

  it('of the longest id has a socket, for its user alone', async () => {
    const id = 'x'.repeat(128);
    let stops = 0;
    const stop = async (): Promise<void> => void stops++;
    await using _server = await ControlServer.listen(container(stop), recordOf(id));
    assert.equal(statSync(containerPaths(id).socket).mode & 0o777, 0o600);
    await stopContainer(id);
    assert.equal(stops, 1);
  });

  it('is removed when its owner has died, or when it is damaged and nobody listens', async () => {
    abandon('dead', { startTime: 1 });
    abandon('damaged', undefined);
    assert.deepEqual(await listContainers(), []);
    assert.deepEqual(readdirSync(containers), []);
  });

  it('stays when its owner lives but does not listen', async () => {
    const directory = abandon('living', {});
    assert.deepEqual(await listContainers(), []);
    assert.ok(existsSync(directory));
  });

  it('half made by a dead owner is removed, by a living one not', async () => {
    const { pid, startTime } = thisProcess();
    mkdirSync(join(containers, `.new-${pid}-1-00000000`));
    const living = `.new-${pid}-${startTime}-00000000`;
    mkdirSync(join(containers, living));
    await listContainers();
    assert.deepEqual(readdirSync(containers), [living]);
  });

  it('takes the place of what a dead owner left, but not of a container that is served', async () => {
    abandon('x', { startTime: 1 });
    await using _server = await ControlServer.listen(container(), recordOf('x'));
    await assert.rejects(ControlServer.listen(container(), recordOf('x')), {
      code: 'HCS_E_SYSTEM_ALREADY_EXISTS',
    });
    assert.deepEqual(await listedIds(), ['x']);
    assert.equal(readdirSync(containers).length, 1);
  });
});
