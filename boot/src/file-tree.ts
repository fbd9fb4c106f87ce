import { posix } from 'node:path';

export type TreeEntry = { mode: number; uid: number; gid: number } & (
  | { type: 'directory' }
  | { type: 'file'; content: Uint8Array }
  | { type: 'symlink'; target: string }
  /** Another name of the file at `target`, a path of this tree. */
  | { type: 'link'; target: string }
  | { type: 'character' | 'block'; major: number; minor: number }
  | { type: 'fifo' }
);

const symlinkLimit = 40;

/**
 * A file system in memory, to be written as tar, cpio or a folder. Paths have neither a leading nor a
 * trailing slash. Adding follows symlinks in the folders of a path, as a file system does, so that `lib/x`
 * lands in `usr/lib/x` of a tree whose `lib` points there.
 */
export class FileTree {
  readonly #entries = new Map<string, TreeEntry>();

  get(path: string): TreeEntry | undefined {
    return this.#entries.get(this.#locate(path));
  }

  /** Adds an entry, in place of one with that name; the folders above come into being with mode 0755. */
  add(path: string, entry: TreeEntry): void {
    const location = this.#locate(path);
    if (location === '') return;
    this.#makeParents(location);
    const existing = this.#entries.get(location);
    if (existing?.type === 'file') this.#keepOtherNames(location, existing);
    // A folder of the base that is a symlink to a folder stays one.
    if (entry.type === 'directory' && existing?.type === 'symlink' && this.#isDirectory(location)) return;
    this.#entries.set(location, entry);
  }

  directory(path: string, mode = 0o755): void {
    this.add(path, { type: 'directory', mode, uid: 0, gid: 0 });
  }

  file(path: string, content: Uint8Array | string, mode = 0o644): void {
    this.add(path, {
      type: 'file',
      content: typeof content === 'string' ? Buffer.from(content) : content,
      mode,
      uid: 0,
      gid: 0,
    });
  }

  symlink(path: string, target: string): void {
    this.add(path, { type: 'symlink', target, mode: 0o777, uid: 0, gid: 0 });
  }

  /** Lays all of `upper` over this tree. */
  overlay(upper: FileTree): void {
    for (const [path, entry] of upper.sorted()) this.add(path, entry);
  }

  /** All entries, folders before what is in them, in byte order of their paths. */
  sorted(): [path: string, entry: TreeEntry][] {
    return [...this.#entries].sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  }

  #makeParents(path: string): void {
    const parent = posix.dirname(path);
    if (parent === '.' || this.#entries.has(parent)) return;
    this.#makeParents(parent);
    this.#entries.set(parent, { type: 'directory', mode: 0o755, uid: 0, gid: 0 });
  }

  #isDirectory(path: string): boolean {
    const location = this.#locate(`${path}/.`);
    return location !== path && (location === '' || this.#entries.get(location)?.type === 'directory');
  }

  /** Hard links point at a path: when its file is replaced, the first link becomes the file. */
  #keepOtherNames(replaced: string, file: TreeEntry): void {
    let heir: string | undefined;
    for (const [path, entry] of this.#entries) {
      if (entry.type !== 'link' || entry.target !== replaced) continue;
      if (heir === undefined) this.#entries.set((heir = path), file);
      else this.#entries.set(path, { ...entry, target: heir });
    }
  }

  /** The path with the symlinks of its folders followed and `.` and `..` gone; it never leaves the tree. */
  #locate(path: string): string {
    let rest = path.split('/');
    let location: string[] = [];
    for (let followed = 0; rest.length > 0; ) {
      const [name = '', ...after] = rest;
      rest = after;
      if (name === '' || name === '.') continue;
      if (name === '..') {
        location.pop();
        continue;
      }
      location.push(name);
      const entry = rest.length > 0 ? this.#entries.get(location.join('/')) : undefined;
      if (entry?.type !== 'symlink') continue;
      if (++followed > symlinkLimit) {
        throw new Error(
          `Cannot place "${path}": more than ${symlinkLimit} symbolic links on the way, look for a loop`,
        );
      }
      if (entry.target.startsWith('/')) location = [];
      else location.pop();
      rest = [...entry.target.split('/'), ...rest];
    }
    return location.join('/');
  }
}
