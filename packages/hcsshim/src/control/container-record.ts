import { createHash, randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { basename, join } from 'node:path';
import {
  checkStateDirectory,
  type HostProcess,
  makePrivateState,
  mayBeRunning,
  thisProcess,
} from '@hcsshim/engine/private-state';
import { stateDirectory } from '../directories.ts';

/** What other processes see of a container that `hcsshim run` owns. */
export interface ContainerRecord {
  id: string;
  image: string;
  engine: string;
  command: string[];
  /** Process id of the owner. */
  owner: number;
  /** ISO 8601. */
  createdAt: string;
}

/** A record as it is kept: a pid alone comes back after its process is gone. */
export interface StoredRecord extends ContainerRecord {
  process: HostProcess;
}

export interface ContainerPaths {
  directory: string;
  record: string;
  socket: string;
}

/** Named by the id's hash: unix sockets need short paths, and ids may be long. */
export function containerPaths(id: string): ContainerPaths {
  return pathsIn(createHash('sha256').update(id).digest('hex').slice(0, 16));
}

/**
 * Makes a directory for a container under a hidden name that tells who the maker is; it is published by a rename,
 * when its record is written and somebody listens at its socket.
 */
export async function makeContainerDirectory(): Promise<ContainerPaths> {
  await makePrivateState(stateDirectory(), ['containers']);
  const paths = pathsIn(hiddenName('new'));
  await mkdir(paths.directory, { mode: 0o700 });
  return paths;
}

/** Takes a container's directory away, in one step for all who look. One that has gone already is fine. */
export async function removeContainerDirectory(paths: ContainerPaths): Promise<void> {
  const hidden = await hide(paths);
  if (hidden) await rm(hidden.directory, { recursive: true, force: true });
}

/** Removes a directory that nobody serves, but not one that has taken its place since that was found. */
async function removeUnserved(paths: ContainerPaths): Promise<void> {
  const hidden = await hide(paths);
  if (!hidden) return;
  if (await isListening(hidden.socket)) await rename(hidden.directory, paths.directory);
  else await rm(hidden.directory, { recursive: true, force: true });
}

async function hide({ directory }: ContainerPaths): Promise<ContainerPaths | undefined> {
  const hidden = pathsIn(hiddenName('old'));
  try {
    await rename(directory, hidden.directory);
    return hidden;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** The containers of this user that are served; what dead owners left is removed. */
export async function listContainers(): Promise<ContainerRecord[]> {
  await checkStateDirectory(stateDirectory());
  const names = await readdir(join(stateDirectory(), 'containers')).catch(() => []);
  const records = await Promise.all(names.map((name) => readOrRemove(pathsIn(name))));
  return records
    .filter((record) => record !== undefined)
    .sort((a, b) => a.createdAt.localeCompare(b.createdAt));
}

/** The record in a directory, or undefined when nobody serves it: then it is removed, if its owner has died. */
export async function readOrRemove(paths: ContainerPaths): Promise<ContainerRecord | undefined> {
  const maker = makerOf(basename(paths.directory));
  if (maker) {
    if (!mayBeRunning(maker)) await rm(paths.directory, { recursive: true, force: true });
    return undefined;
  }
  const listening = await isListening(paths.socket);
  const stored = await readRecord(paths);
  if (listening) {
    if (!stored) return undefined;
    const { process: _process, ...record } = stored;
    return record;
  }
  // A directory has its name only while somebody listens. Without a readable record nobody else can be asked.
  if (!stored?.process || !mayBeRunning(stored.process)) await removeUnserved(paths);
  return undefined;
}

function pathsIn(name: string): ContainerPaths {
  const directory = join(stateDirectory(), 'containers', name);
  return { directory, record: join(directory, 'container.json'), socket: join(directory, 'control') };
}

function hiddenName(purpose: 'new' | 'old'): string {
  const { pid, startTime } = thisProcess();
  return `.${purpose}-${pid}-${startTime}-${randomUUID().slice(0, 8)}`;
}

function makerOf(name: string): HostProcess | undefined {
  const [, pid, startTime] = /^\.(?:new|old)-(\d+)-(\d+)-/.exec(name) ?? [];
  return pid === undefined ? undefined : { ...thisProcess(), pid: Number(pid), startTime: Number(startTime) };
}

async function readRecord({ record }: ContainerPaths): Promise<StoredRecord | undefined> {
  try {
    return JSON.parse(await readFile(record, 'utf8')) as StoredRecord;
  } catch (error) {
    // Damaged, or just gone.
    if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** False when nobody listens for sure; any other refusal, such as a full queue, comes from one who lives. */
function isListening(socketPath: string): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = createConnection(socketPath);
  socket.once('connect', () => resolve(true));
  socket.once('error', ({ code }: NodeJS.ErrnoException) =>
    resolve(code !== 'ECONNREFUSED' && code !== 'ENOENT'),
  );
  return promise.finally(() => socket.destroy());
}
