import { appendFileSync, type FSWatcher, readFileSync, renameSync, watch, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { NetworkEvent, NetworkEventType, NetworkWatch } from '@hcsshim/hcn';

/** `HCN_NOTIFICATIONS` (computenetwork.h). */
const numbers = {
  NetworkPreCreate: 1,
  NetworkCreate: 2,
  NetworkPreDelete: 3,
  NetworkDelete: 4,
  NamespaceCreate: 5,
  NamespaceDelete: 6,
  ServiceDisconnect: 16777216,
} as const satisfies Partial<Record<NetworkEventType, number>>;

export type LoggedEvent = Exclude<keyof typeof numbers, 'ServiceDisconnect'>;

interface Entry {
  /** Counts up by one. */
  sequence: number;
  type: LoggedEvent;
  id: string;
}

const fileName = 'events';
/** A log that has become longer keeps its newer half. In bytes: some 1500 events. */
const longest = 128 * 1024;

/**
 * What has come and gone, a line of JSON each, in a file that all processes watch. Who writes holds the lock. A
 * directory's own notifications would not do: what came and went between two looks could not be told, nor in which
 * order.
 */
export class EventLog {
  readonly #directory: string;
  readonly #path: string;

  constructor(directory: string) {
    this.#directory = directory;
    this.#path = join(directory, fileName);
  }

  append(type: LoggedEvent, id: string): void {
    const entries = this.#read();
    const entry = { sequence: (entries.at(-1)?.sequence ?? 0) + 1, type, id };
    // The line before may have been broken off.
    const text = `\n${JSON.stringify(entry)}\n`;
    if (Buffer.byteLength(text) * (entries.length + 1) > longest) this.#rewrite(entries);
    appendFileSync(this.#path, text, { mode: 0o600 });
  }

  /** What was said last about an object. */
  lastOf(id: string): LoggedEvent | undefined {
    return this.#read().findLast((entry) => entry.id === id)?.type;
  }

  /** Tells what is appended from now on, by whichever process. */
  watch(listener: (event: NetworkEvent) => void): NetworkWatch {
    let watcher: FSWatcher | undefined = watch(this.#directory);
    let last = this.#read().at(-1)?.sequence ?? 0;
    const close = (): void => {
      watcher?.close();
      watcher = undefined;
    };
    const tell = (): void => {
      for (const { sequence, type, id } of this.#read()) {
        if (sequence <= last) continue;
        last = sequence;
        // A listener may end the watch.
        if (watcher !== undefined) listener({ type, number: numbers[type], id });
      }
    };
    watcher.on('change', (_, name) => {
      if (name === null || name === fileName) tell();
    });
    watcher.on('error', () => {
      if (watcher === undefined) return;
      close();
      listener({ type: 'ServiceDisconnect', number: numbers.ServiceDisconnect });
    });
    return { [Symbol.asyncDispose]: async () => close() };
  }

  #rewrite(entries: readonly Entry[]): void {
    const kept = entries.slice(entries.length / 2).map((entry) => `${JSON.stringify(entry)}\n`);
    writeFileSync(`${this.#path}.new`, kept.join(''), { mode: 0o600 });
    renameSync(`${this.#path}.new`, this.#path);
  }

  /** A line that is damaged, or not yet whole, is left out. */
  #read(): Entry[] {
    let text: string;
    try {
      text = readFileSync(this.#path, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw error;
    }
    return text.split('\n').flatMap((line) => {
      try {
        return line === '' ? [] : [JSON.parse(line) as Entry];
      } catch {
        return [];
      }
    });
  }
}
