import { randomUUID } from 'node:crypto';
import { access, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { HcsError } from '@hcsshim/hcs';
import type { ComputeSystemDocument, SystemState } from '@hcsshim/schema';
import { defaultStateDirectory } from './default-state-directory.ts';
import { checkStateDirectory, makePrivateState } from './private-state.ts';
import { type HostProcess, mayBeRunning, type ProcessIdentity, thisProcess } from './process-identity.ts';

/** What `state.json` holds: all that another process must know to show a system, or to clear up after it. */
export interface SystemRecord {
  version: 1;
  id: string;
  /** `Owner` of the document. */
  ownerName: string;
  /** The process that created the system and runs its monitor. */
  owner: HostProcess;
  runtimeId: string;
  monitor: 'qemu' | 'sandbox';
  /** `Unknown` while it is being created. */
  state: SystemState;
  /** ISO 8601. */
  createdAt: string;
  /** The monitor's processes, killed when the owner is found dead. */
  processes: ProcessIdentity[];
}

const guidPattern = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/**
 * The state of all compute systems of a host:
 *
 *     systems/<id>/document.json   as handed to create
 *     systems/<id>/state.json      a SystemRecord
 *     c/<8 hex digits>             control socket, where the owner answers other processes
 *     m/<8 hex digits>/            the monitor's own files
 *
 * The digits are the first of the system's GUID: unix sockets need short paths, and ids may be long. A system's directory appears and disappears in one step, by a rename; names with a leading dot are
 * directories on their way in or out.
 */
export class StateDirectory {
  readonly root: string;
  readonly systems: string;

  constructor(root: string = defaultStateDirectory()) {
    this.root = root;
    this.systems = join(root, 'systems');
  }

  systemDirectory(id: string): string {
    return join(this.systems, id);
  }

  controlSocket(runtimeId: string): string {
    return join(this.root, 'c', shortName(runtimeId));
  }

  monitorDirectory(runtimeId: string): string {
    return join(this.root, 'm', shortName(runtimeId));
  }

  /** Removes what lies outside the system's own directory. */
  async release(runtimeId: string): Promise<void> {
    await rm(this.controlSocket(runtimeId), { force: true });
    await rm(this.monitorDirectory(runtimeId), { recursive: true, force: true });
  }

  /**
   * Prepares a new system under a hidden name, to which `publish` gives its own: its directory, its GUID, and the
   * monitor's directory, which sees to it that no two systems have the same digits. The hidden name tells who
   * the maker is and the record inside what belongs to it, so that what is left half made is found and removed.
   */
  async prepare(
    draft: Omit<SystemRecord, 'runtimeId'>,
    document: ComputeSystemDocument,
  ): Promise<{ directory: string; record: SystemRecord }> {
    await makePrivateState(this.root, ['systems', 'm', 'c']);
    const directory = this.#hidden('new');
    await mkdir(directory, { mode: 0o700 });
    try {
      await writeFile(join(directory, 'document.json'), JSON.stringify(document), { mode: 0o600 });
      return { directory, record: await this.#allocate(directory, draft) };
    } catch (error) {
      await this.discard(directory);
      throw error;
    }
  }

  /** Gives a prepared directory the system's name. Returns false when a system has it. */
  async publish(directory: string, id: string): Promise<boolean> {
    try {
      await rename(directory, this.systemDirectory(id));
      return true;
    } catch (error) {
      if (['ENOTEMPTY', 'EEXIST'].includes((error as NodeJS.ErrnoException).code ?? '')) return false;
      throw error;
    }
  }

  /** Takes back a prepared directory that was not published. */
  async discard(directory: string): Promise<void> {
    await rm(directory, { recursive: true, force: true });
  }

  async write(record: SystemRecord): Promise<void> {
    await writeRecord(this.systemDirectory(record.id), record);
  }

  /**
   * The record of a system, or undefined when there is no such system. Throws ERROR_INVALID_DATA when the record
   * is damaged or another version's.
   */
  async read(id: string): Promise<SystemRecord | undefined> {
    await checkStateDirectory(this.root);
    const directory = this.systemDirectory(id);
    // A system's directory appears with its record in it: one without may have gone, and come, between two looks.
    for (let look = 0; look < 2; look++) {
      const text = await readIfPresent(join(directory, 'state.json'));
      if (text !== undefined) return parseRecord(id, directory, text);
      if (!(await exists(directory))) return undefined;
    }
    throw unreadable(id, directory, 'its record is missing');
  }

  /**
   * The records of all systems, also of those whose owner has died.
   *
   * @param onUnreadable Told of each record that cannot be read; the others are listed all the same.
   */
  async list(onUnreadable: (error: Error) => void): Promise<SystemRecord[]> {
    const readOrTell = (id: string): Promise<SystemRecord | undefined> =>
      this.read(id).catch((error) => {
        onUnreadable(error);
        return undefined;
      });
    await checkStateDirectory(this.root);
    const names = (await entries(this.systems)).filter((name) => !name.startsWith('.'));
    const records = await Promise.all(names.map(readOrTell));
    return records.filter((record) => record !== undefined);
  }

  /** Takes a system's directory away, in one step for all who look. */
  async remove(id: string): Promise<void> {
    const hidden = this.#hidden('old');
    try {
      await rename(this.systemDirectory(id), hidden);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
      throw error;
    }
    await rm(hidden, { recursive: true, force: true });
  }

  /** Removes hidden directories whose makers have died on the way. */
  async removeUnfinished(): Promise<void> {
    for (const name of await entries(this.systems)) {
      const [, pid, startTime] = /^\.(?:new|old)-(\d+)-(\d+)-/.exec(name) ?? [];
      if (pid === undefined) continue;
      const maker = { ...thisProcess(), pid: Number(pid), startTime: Number(startTime) };
      if (mayBeRunning(maker)) continue;
      // Without a record nothing else has been made, with a damaged one nothing else can be found.
      const record = await this.read(name).catch(() => undefined);
      if (record) await this.release(record.runtimeId);
      await this.discard(join(this.systems, name));
    }
  }

  /** Gives a new system its GUID. The record is on disk before anything that it names is. */
  async #allocate(directory: string, draft: Omit<SystemRecord, 'runtimeId'>): Promise<SystemRecord> {
    for (;;) {
      const record = { ...draft, runtimeId: randomUUID() };
      await writeRecord(directory, record);
      try {
        await mkdir(this.monitorDirectory(record.runtimeId), { mode: 0o700 });
        return record;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      }
    }
  }

  #hidden(purpose: 'new' | 'old'): string {
    const { pid, startTime } = thisProcess();
    return join(this.systems, `.${purpose}-${pid}-${startTime}-${randomUUID().slice(0, 8)}`);
  }
}

/** True when the process that owned the system is gone, so that nobody looks after what it left. */
export function isAbandoned(record: SystemRecord): boolean {
  return !mayBeRunning(record.owner);
}

function shortName(runtimeId: string): string {
  return runtimeId.slice(0, 8);
}

async function writeRecord(directory: string, record: SystemRecord): Promise<void> {
  const path = join(directory, 'state.json');
  await writeFile(`${path}.new`, JSON.stringify(record), { mode: 0o600 });
  await rename(`${path}.new`, path);
}

function parseRecord(id: string, directory: string, text: string): SystemRecord {
  let record: Partial<SystemRecord> | null;
  try {
    record = JSON.parse(text);
  } catch (cause) {
    throw unreadable(id, directory, 'its record is not JSON', cause);
  }
  if (record?.version !== 1) {
    throw unreadable(
      id,
      directory,
      `its record is of version ${record?.version}, this program knows version 1`,
    );
  }
  const { runtimeId, owner, processes } = record;
  // What is not checked here would be looked up, killed or removed by its name.
  const complete =
    guidPattern.test(runtimeId ?? '') && Number.isInteger(owner?.pid) && Array.isArray(processes);
  if (!complete) throw unreadable(id, directory, 'its record is incomplete');
  return { ...(record as SystemRecord), id };
}

function unreadable(id: string, directory: string, problem: string, cause?: unknown): HcsError {
  return new HcsError({
    action: `Cannot read the state of compute system "${id}"`,
    problem: `${problem}; when no such system runs, remove "${directory}"`,
    code: 'ERROR_INVALID_DATA',
    cause,
  });
}

async function readIfPresent(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (isAbsence(error)) return undefined;
    throw error;
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch (error) {
    if (isAbsence(error)) return false;
    throw error;
  }
}

function isAbsence(error: unknown): boolean {
  return ['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '');
}

async function entries(directory: string): Promise<string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}
