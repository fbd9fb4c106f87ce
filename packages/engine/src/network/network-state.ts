import {
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { FileLock } from '@hcsshim/linux';
import { HcsError } from '@hcsshim/schema';
import { checkStateDirectory, makePrivateState } from '../private-state.ts';
import { Turns } from '../turns.ts';
import { EventLog } from './event-log.ts';
import { type NetworkRecords, type RecordKind, recordKinds } from './network-records.ts';
import { Refusal } from './refusal.ts';

/** What a change is about: when its maker dies in it, the next one looks there first. */
export interface Subject {
  kind: RecordKind;
  /** A GUID in lower case. */
  id: string;
}

export interface ChangeOptions extends Subject {
  signal: AbortSignal;
  /** For what has no undo: after a failure the next change first brings the kernel back to the records. @default false */
  recoverOnFailure?: boolean;
}

/** What is done to a host that a change was broken off on, or that this process has not looked at yet. */
export type Recover = (pending: Subject | undefined) => void;

const idPattern = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/**
 * The state of all networks of a host, below the engine's state directory:
 *
 *     network/<kind>/<id>.json   a record of an object
 *     network/ns/<id>            a network namespace, mounted
 *     network/host.json          on which boot and in which network namespace the kernel's objects are
 *     network/events             what has come and gone, for those who watch
 *     network/pending.json       what is being changed
 *     network/lock               held by who changes something
 *
 * A record appears, changes and goes in one step. Reading takes no lock. Files are small and the directory is in memory,
 * so they are read and written synchronously: a change is then one piece of work, in which nothing else of this
 * process happens, also not in the network namespaces that it visits.
 */
export class NetworkState {
  readonly root: string;
  readonly events: EventLog;
  readonly #parent: string;
  readonly #turns = new Turns();
  #recover: Recover | undefined;
  #isLookedAt = false;

  constructor(stateDirectory: string) {
    this.#parent = stateDirectory;
    this.root = join(stateDirectory, 'network');
    this.events = new EventLog(this.root);
  }

  /** Sets what is done before the first change, and after one that was broken off. */
  onRecovery(recover: Recover): void {
    this.#recover = recover;
  }

  namespacePath(id: string): string {
    return join(this.root, 'ns', id);
  }

  /** Names of the files in which namespaces are mounted. */
  namespaceFiles(): string[] {
    return entries(join(this.root, 'ns'));
  }

  /** Makes the directories that are missing. */
  async make(): Promise<void> {
    await makePrivateState(this.#parent, ['network']);
    await makePrivateState(this.root, [...recordKinds, 'ns']);
  }

  /** To be called before reading: looks after what died, unless this process has done so. */
  async look(signal: AbortSignal): Promise<void> {
    if (this.#isLookedAt) return;
    await checkStateDirectory(this.#parent);
    if (!existsSync(this.root)) return;
    await this.#locked(signal, () => {});
  }

  /**
   * Runs a change alone, among all processes. What it defers undoes its steps when one fails.
   *
   * @param work Synchronous: nothing is given up half done.
   */
  async change<T>(options: ChangeOptions, work: (undo: DisposableStack) => T): Promise<T> {
    const { kind, id, signal, recoverOnFailure = false } = options;
    await this.make();
    return this.#locked(signal, () => {
      this.#writeFile('pending.json', { kind, id });
      const result = undone(work);
      // Not after an undo that failed: then the next one has to clear up.
      const isClean = 'value' in result || !recoverOnFailure || result.error instanceof Refusal;
      if (isClean) unlinkSync(join(this.root, 'pending.json'));
      if ('error' in result) throw result.error;
      return result.value;
    });
  }

  read<Kind extends RecordKind>(kind: Kind, id: string): NetworkRecords[Kind] | undefined {
    const text = readIfPresent(this.#path(kind, id));
    return text === undefined ? undefined : this.#parse(kind, id, text);
  }

  /** Those that go away meanwhile are left out. */
  list<Kind extends RecordKind>(kind: Kind): NetworkRecords[Kind][] {
    return entries(join(this.root, kind))
      .filter((name) => name.endsWith('.json') && idPattern.test(name.slice(0, -5)))
      .map((name) => this.read(kind, name.slice(0, -5)))
      .filter((record) => record !== undefined);
  }

  /** Puts a record in the place of the one that has its id. With `undo` the old one comes back, or none. */
  write<Kind extends RecordKind>(kind: Kind, record: NetworkRecords[Kind], undo?: DisposableStack): void {
    const { ID: id } = record.document;
    const before = undo && readIfPresent(this.#path(kind, id));
    this.#writeFile(join(kind, `${id}.json`), record);
    undo?.defer(() => {
      if (before === undefined) this.remove(kind, id);
      else writeAtomically(this.#path(kind, id), before);
    });
  }

  remove(kind: RecordKind, id: string): void {
    rmSync(this.#path(kind, id), { force: true });
  }

  /** A file of the state's own; undefined when there is none, or it is damaged. */
  readOwn(name: 'host.json' | 'pending.json'): unknown {
    try {
      return JSON.parse(readFileSync(join(this.root, name), 'utf8'));
    } catch {
      return undefined;
    }
  }

  writeOwn(name: 'host.json', value: unknown): void {
    this.#writeFile(name, value);
  }

  /** A call that is given up before its turn ends at once, and does nothing when its turn comes. */
  async #locked<T>(signal: AbortSignal, work: () => T): Promise<T> {
    const givenUp = Promise.withResolvers<never>();
    const giveUp = (): void => givenUp.reject(signal.reason);
    signal.addEventListener('abort', giveUp, { once: true });
    const turn = this.#turns.run(async () => {
      signal.throwIfAborted();
      signal.removeEventListener('abort', giveUp);
      using _lock = await FileLock.acquire(join(this.root, 'lock'), { signal });
      signal.throwIfAborted();
      this.#recoverIfNeeded();
      return work();
    });
    return Promise.race([turn, givenUp.promise]);
  }

  #recoverIfNeeded(): void {
    const isPending = existsSync(join(this.root, 'pending.json'));
    if (this.#isLookedAt && !isPending) return;
    this.#recover?.(isPending ? asSubject(this.readOwn('pending.json')) : undefined);
    if (isPending) unlinkSync(join(this.root, 'pending.json'));
    this.#isLookedAt = true;
  }

  #parse<Kind extends RecordKind>(kind: Kind, id: string, text: string): NetworkRecords[Kind] {
    const unreadable = (problem: string, cause?: unknown): HcsError =>
      new HcsError({
        action: `Cannot read the state of "${id}" in "${join(this.root, kind)}"`,
        problem: `${problem}; remove "${this.#path(kind, id)}" when nothing uses it`,
        code: 'ERROR_INVALID_DATA',
        cause,
      });
    let record: Partial<NetworkRecords[Kind]> | null;
    try {
      record = JSON.parse(text);
    } catch (cause) {
      throw unreadable('its record is not JSON', cause);
    }
    if (record?.version !== 1)
      throw unreadable(`its record is of version ${record?.version}, this program knows version 1`);
    // By its id it is named, and links and files are removed by names made of it.
    if (record.document?.ID !== id) throw unreadable('its record is that of another object');
    return record as NetworkRecords[Kind];
  }

  #path(kind: RecordKind, id: string): string {
    return join(this.root, kind, `${id}.json`);
  }

  #writeFile(name: string, value: unknown): void {
    writeAtomically(join(this.root, name), JSON.stringify(value));
  }
}

/** The result, or the error after everything has been undone. Throws both errors when that fails too. */
function undone<T>(work: (undo: DisposableStack) => T): { value: T } | { error: unknown } {
  const undo = new DisposableStack();
  try {
    return { value: work(undo) };
  } catch (error) {
    try {
      undo.dispose();
    } catch (failure) {
      const [first, second] = [error, failure].map((one) =>
        one instanceof Error ? one.message : String(one),
      );
      throw new SuppressedError(failure, error, `${first}; and to undo it failed: ${second}`);
    }
    return { error };
  }
}

function asSubject(value: unknown): Subject | undefined {
  const { kind, id } = (value ?? {}) as Partial<Subject>;
  const isKind = (recordKinds as readonly unknown[]).includes(kind);
  return isKind && typeof id === 'string' && idPattern.test(id)
    ? { kind: kind as RecordKind, id }
    : undefined;
}

function writeAtomically(path: string, text: string): void {
  writeFileSync(`${path}.new`, text, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

function readIfPresent(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

function entries(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}
