import { HcsError } from '@hcsshim/schema';
import type { TarEntry } from './tar-reader.ts';

/** Attributes of a file of any kind. */
export interface NodeAttributes {
  mode: number;
  uid: number;
  gid: number;
  /** Nanoseconds from the Unix epoch. */
  modified: bigint;
  /** By byte string. */
  extended: ReadonlyMap<string, Uint8Array>;
}

export interface DirectoryNode extends NodeAttributes {
  kind: 'directory';
  /** By byte string. */
  children: Map<string, LayerNode>;
}

interface FileNode extends NodeAttributes {
  kind: 'file';
  size: number;
  /** A file on the host with the content, under a name of our own. */
  content: string;
}

interface SymlinkNode extends NodeAttributes {
  kind: 'symlink';
  target: string;
}

interface SpecialNode extends NodeAttributes {
  kind: 'character' | 'block' | 'fifo';
  major: number;
  minor: number;
}

export type LayerNode = DirectoryNode | FileNode | SymlinkNode | SpecialNode;

export interface LayerLimits {
  /** @default 1000000 */
  entries?: number;
}

/** Linux's limits. */
const longestName = 255;
const longestPath = 4095;
const deepest = 512;
const mostLinks = 40;

const whiteoutPrefix = '.wh.';
const opaqueMarker = '.wh..wh..opq';
/** overlayfs's own mark of a directory that hides what is below it. */
const opaqueAttribute = 'trusted.overlay.opaque';

/**
 * The tree that a layer's archive describes, in memory: no name from the archive is ever given to the host's file
 * system, so none can lead out of a directory. Whiteouts become what overlayfs knows: a character
 * device 0/0, and an attribute on an opaque directory.
 */
export class LayerTree {
  readonly root: DirectoryNode = directory();
  readonly #limits: Required<LayerLimits>;
  #entries = 0;

  constructor(limits: LayerLimits = {}) {
    this.#limits = { entries: limits.entries ?? 1_000_000 };
  }

  /** Adds an entry. `content` is where its content was put, for a file. */
  add(entry: TarEntry, content: string): void {
    if (++this.#entries > this.#limits.entries) {
      throw invalid(`it has more than ${this.#limits.entries} entries`);
    }
    const names = splitPath(entry.path);
    const name = names.pop();
    if (name === undefined) {
      if (entry.type === 'directory') Object.assign(this.root, attributesOf(entry));
      return;
    }
    const parent = this.#directoryAt(names, entry.path);
    if (name === opaqueMarker) {
      parent.extended = new Map([...parent.extended, [opaqueAttribute, Buffer.from('y')]]);
    } else if (name.startsWith(`${whiteoutPrefix}${whiteoutPrefix}`)) {
      // Left by aufs for its own use.
    } else if (name.startsWith(whiteoutPrefix)) {
      parent.children.set(checkName(name.slice(whiteoutPrefix.length), entry.path), whiteout(entry));
    } else {
      this.#put(parent, name, entry, content);
    }
  }

  #put(parent: DirectoryNode, name: string, entry: TarEntry, content: string): void {
    const attributes = attributesOf(entry);
    const present = parent.children.get(name);
    switch (entry.type) {
      case 'directory':
        // A directory that is there keeps what is in it, and its mark if it is opaque.
        if (present?.kind === 'directory') {
          const extended = new Map([...present.extended, ...attributes.extended]);
          Object.assign(present, { ...attributes, extended });
        } else {
          parent.children.set(name, { ...attributes, kind: 'directory', children: new Map() });
        }
        return;
      case 'file':
        parent.children.set(name, { ...attributes, kind: 'file', size: entry.size, content });
        return;
      case 'symlink':
        if (entry.target === '' || entry.target.length > longestPath) {
          throw invalid(`link "${entry.path}" has a target of ${entry.target.length} bytes`);
        }
        parent.children.set(name, { ...attributes, kind: 'symlink', target: entry.target });
        return;
      case 'hardlink':
        parent.children.set(name, this.#linkTarget(entry));
        return;
      default:
        parent.children.set(name, {
          ...attributes,
          kind: entry.type,
          major: entry.major,
          minor: entry.minor,
        });
    }
  }

  #linkTarget(entry: TarEntry): LayerNode {
    const names = splitPath(entry.target);
    const name = names.pop();
    const node = name === undefined ? undefined : this.#directoryAt(names, entry.path).children.get(name);
    if (!node || node.kind === 'directory') {
      throw invalid(`hard link "${entry.path}" leads to "${entry.target}", which is no file of this layer`);
    }
    return node;
  }

  /**
   * The directory at a path, made with its parents when it is not there. A symlink on the way is followed within
   * this tree, as a runtime that unpacks into a root directory would.
   */
  #directoryAt(path: readonly string[], subject: string): DirectoryNode {
    const trail: DirectoryNode[] = [this.root];
    const names = [...path];
    let links = 0;
    for (let name = names.shift(); name !== undefined; name = names.shift()) {
      if (name === '..') {
        if (trail.length > 1) trail.pop();
        continue;
      }
      const here = trail[trail.length - 1] as DirectoryNode;
      let next = here.children.get(name);
      if (next === undefined) {
        next = directory();
        here.children.set(name, next);
      }
      if (next.kind === 'symlink') {
        if (++links > mostLinks) throw invalid(`"${subject}" leads through too many links`);
        names.unshift(...linkNames(next.target));
        if (next.target.startsWith('/')) trail.length = 1;
      } else if (next.kind === 'directory') {
        trail.push(next);
        if (trail.length > deepest) throw invalid(`"${subject}" is more than ${deepest} directories deep`);
      } else {
        throw invalid(`"${subject}" is below "${name}", which is no directory`);
      }
    }
    return trail[trail.length - 1] as DirectoryNode;
  }
}

function directory(): DirectoryNode {
  return {
    kind: 'directory',
    mode: 0o755,
    uid: 0,
    gid: 0,
    modified: 0n,
    extended: new Map(),
    children: new Map(),
  };
}

function whiteout({ modified }: TarEntry): SpecialNode {
  return { kind: 'character', mode: 0, uid: 0, gid: 0, modified, extended: new Map(), major: 0, minor: 0 };
}

/** `trusted.*` is what overlayfs steers by, and no image has a say in that. */
function attributesOf({ mode, uid, gid, modified, attributes }: TarEntry): NodeAttributes {
  const extended = new Map([...attributes].filter(([name]) => !name.startsWith('trusted.')));
  return { mode, uid, gid, modified, extended };
}

/** The names of an entry's path below the root. An archive that climbs with `..` is refused, whatever it means. */
function splitPath(path: string): string[] {
  if (path.length > longestPath) throw invalid(`a path has ${path.length} bytes, allowed are ${longestPath}`);
  const names = path.split('/').filter((name) => name !== '' && name !== '.');
  for (const name of names) checkName(name, path);
  return names;
}

function checkName(name: string, path: string): string {
  if (name === '..' || name === '.' || name === '') {
    throw invalid(`path "${path}" leads out of its directory`);
  }
  if (name.length > longestName) throw invalid(`a name in "${path}" has ${name.length} bytes`);
  // Neither the tool that fills the disk nor anybody's terminal copes with line breaks in names.
  if (/[\0\n\r]/.test(name)) throw invalid(`a name in "${JSON.stringify(path)}" has a line break or a NUL`);
  return name;
}

function linkNames(target: string): string[] {
  return target.split('/').filter((name) => name !== '' && name !== '.');
}

function invalid(problem: string): HcsError {
  return new HcsError({ action: 'Cannot unpack the layer', problem, code: 'HCS_E_INVALID_LAYER' });
}
