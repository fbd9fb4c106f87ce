import { readdir, readFile, rm } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { join } from 'node:path';
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

export function containerPaths(id: string): { record: string; socket: string } {
  const directory = join(stateDirectory(), 'containers', id);
  return { record: join(directory, 'container.json'), socket: join(directory, 'control.sock') };
}

/** The containers of this user whose owner lives; what dead owners left is removed. */
export async function listContainers(): Promise<ContainerRecord[]> {
  const directory = join(stateDirectory(), 'containers');
  const ids = await readdir(directory).catch(() => []);
  const records = await Promise.all(ids.map(readRecord));
  return records
    .filter((record) => record !== undefined)
    .sort((a, b) => a.createdAt.localeCompare(b.createdAt));
}

async function readRecord(id: string): Promise<ContainerRecord | undefined> {
  const paths = containerPaths(id);
  if (!(await answers(paths.socket))) {
    await rm(join(paths.record, '..'), { recursive: true, force: true });
    return undefined;
  }
  try {
    return JSON.parse(await readFile(paths.record, 'utf8')) as ContainerRecord;
  } catch {
    // The owner is about to write it, or has just removed it.
    return undefined;
  }
}

function answers(socketPath: string): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = createConnection(socketPath);
  socket.once('connect', () => resolve(true));
  socket.once('error', () => resolve(false));
  return promise.finally(() => socket.destroy());
}
