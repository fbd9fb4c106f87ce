import type { SeekableOutput } from './byte-storage.ts';
import { type ByteSource, decompress } from './decompress.ts';
import { Ext4Error } from './ext4-error.ts';
import { type Ext4Image, Ext4Writer, type Ext4WriterOptions, type NewFile } from './ext4-writer.ts';
import type { FileAttributes } from './layout.ts';
import { quoted } from './path-name.ts';
import { type TarConsumer, TarDecoder, type TarEntry } from './tar-decoder.ts';

export interface TarToExt4Options extends Omit<Ext4WriterOptions, 'pathEncoding'> {
  /** Turn whiteouts of image layers into those of overlayfs. @default false: they are plain files */
  convertWhiteouts?: boolean;
  /** Take `\` in names for `/`. @default false */
  convertBackslashes?: boolean;
  /** Leave out `trusted.*` attributes of the archive, by which overlayfs is steered. @default false */
  dropTrusted?: boolean;
  /** LIMIT_EXCEEDED beyond. @default none */
  limits?: {
    /** Entries of the archive, and files and directories made for them. */ entries?: number /** Content of all files. */;
    bytes?: number;
  };
  signal?: AbortSignal | undefined;
}

const whiteoutPrefix = '.wh.';
const opaqueMarker = '.wh..wh..opq';
const opaqueAttribute = 'trusted.overlay.opaque';
/** PATH_MAX without its NUL, in bytes. */
const longestPath = 4095;
/** A synchronous source lets others have their turn after so many bytes. */
const turn = 16 << 20;

/**
 * Writes a tar archive as an ext4 file system. Parents that the archive lacks are made; a path is taken from the
 * image's root on, so that none leads out of it. Compression with gzip or zstd is recognised.
 */
export async function tarToExt4(
  source: ByteSource,
  output: SeekableOutput,
  options: TarToExt4Options = {},
): Promise<Ext4Image> {
  const { signal } = options;
  const writer = new Ext4Writer(output, { ...options, pathEncoding: 'latin1' });
  const layer = new LayerWriter(writer, options);
  const decoder = new TarDecoder(layer);
  let sinceTurn = 0;
  for await (const chunk of decompress(source, { signal })) {
    signal?.throwIfAborted();
    decoder.push(chunk);
    sinceTurn += chunk.length;
    if (sinceTurn < turn) continue;
    sinceTurn = 0;
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
  decoder.end();
  layer.end();
  return writer.finish();
}

/** Puts the entries of a layer into an image, whiteouts in overlayfs's form if asked. */
class LayerWriter implements TarConsumer {
  readonly #writer: Ext4Writer;
  readonly #options: TarToExt4Options;
  #skipping = false;
  #early: { target: string; path: string; member: string; offset: number }[] = [];
  #entries = 0;
  #bytes = 0;
  #member = '';
  #offset = 0;

  constructor(writer: Ext4Writer, options: TarToExt4Options) {
    this.#writer = writer;
    this.#options = options;
  }

  entry(entry: TarEntry): void {
    this.#member = entry.path;
    this.#offset = entry.offset;
    this.#count(entry);
    this.#told(() => this.#add(entry));
  }

  data(bytes: Uint8Array): void {
    if (!this.#skipping) this.#told(() => this.#writer.write(bytes));
  }

  hole(bytes: number): void {
    if (!this.#skipping) this.#told(() => this.#writer.skip(bytes));
  }

  #add(entry: TarEntry): void {
    this.#skipping = false;
    const writer = this.#writer;
    const path = this.#path(entry.path);
    const cut = path.lastIndexOf('/') + 1;
    const name = path.slice(cut);
    writer.makeParents(path);
    this.#checkLimit(writer.created);
    if (this.#options.convertWhiteouts && name.startsWith(whiteoutPrefix)) {
      this.#skipping = true;
      if (name === opaqueMarker) this.#makeOpaque(path.slice(0, cut));
      // Names with the prefix twice were aufs's own.
      else if (!name.startsWith(whiteoutPrefix + whiteoutPrefix)) {
        writer.create(path.slice(0, cut) + name.slice(whiteoutPrefix.length), {
          type: 'character',
          major: 0,
          minor: 0,
          ...attributesOf(entry),
          mode: 0,
        });
      }
    } else if (entry.type === 'hardlink') this.#link(this.#path(entry.target), path);
    else writer.create(path, this.#file(entry, path));
  }

  /** An archive may name a link before the file that it leads to, but not in the place of another file. */
  #link(target: string, path: string): void {
    if (this.#writer.stat(target) || this.#writer.stat(path)) this.#writer.link(target, path);
    else this.#early.push({ target, path, member: this.#member, offset: this.#offset });
  }

  /** Makes the links that came before their files. To be called when the archive is over. */
  end(): void {
    for (let left = this.#early; left.length > 0; left = this.#early) {
      this.#early = [];
      for (const { target, path, member, offset } of left) {
        this.#member = member;
        this.#offset = offset;
        // What came later in its place stays.
        if (!this.#writer.stat(path)) this.#told(() => this.#link(target, path));
      }
      // Nothing was gained: the writer says of the first that its target is missing.
      const [first] = this.#early;
      if (first && this.#early.length === left.length) {
        this.#member = first.member;
        this.#offset = first.offset;
        this.#told(() => this.#writer.link(first.target, first.path));
      }
    }
  }

  #file(entry: TarEntry, path: string): NewFile {
    const attributes = attributesOf(entry);
    if (this.#options.dropTrusted && entry.xattrs.size > 0) {
      attributes.xattrs = new Map([...entry.xattrs].filter(([name]) => !name.startsWith('trusted.')));
    }
    switch (entry.type) {
      case 'symlink':
        return {
          ...attributes,
          type: 'symlink',
          target: this.#options.convertBackslashes ? forward(entry.target) : entry.target,
        };
      case 'character':
      case 'block':
        return { ...attributes, type: entry.type, major: entry.major, minor: entry.minor };
      case 'directory':
        return { ...attributes, type: 'directory', xattrs: this.#keepOpaque(path, attributes.xattrs) };
      case 'fifo':
        return { ...attributes, type: 'fifo' };
      default:
        return { ...attributes, type: 'file', size: entry.size };
    }
  }

  /** A directory that was marked before its own entry came remains marked. */
  #keepOpaque(path: string, xattrs: FileAttributes['xattrs']): FileAttributes['xattrs'] {
    if (!this.#options.convertWhiteouts) return xattrs;
    const mark = this.#writer.stat(path)?.xattrs.get(opaqueAttribute);
    return mark ? new Map([...xattrs, [opaqueAttribute, mark]]) : xattrs;
  }

  #makeOpaque(directory: string): void {
    const status = this.#writer.stat(directory);
    if (!status) return;
    const xattrs = new Map([...status.xattrs, [opaqueAttribute, Buffer.from('y')] as const]);
    this.#writer.create(directory, { ...status, type: 'directory', xattrs });
  }

  /** From the root on; `..` leads at most to it. */
  #path(text: string): string {
    if (text.length > longestPath) {
      throw new Ext4Error(
        'INVALID_NAME',
        `Cannot use a path that has ${text.length} bytes: allowed are ${longestPath}`,
      );
    }
    const path = this.#options.convertBackslashes ? forward(text) : text;
    if (!path.includes('..')) return path;
    const names: string[] = [];
    for (const name of path.split('/')) {
      if (name === '..') names.pop();
      else if (name !== '' && name !== '.') names.push(name);
    }
    return names.join('/');
  }

  #count({ size }: TarEntry): void {
    const { bytes = Number.POSITIVE_INFINITY } = this.#options.limits ?? {};
    this.#checkLimit(++this.#entries);
    this.#bytes += size;
    if (this.#bytes > bytes) throw exceeded(`${bytes} bytes`);
  }

  /** One long path can make thousands of directories. */
  #checkLimit(count: number): void {
    const { entries = Number.POSITIVE_INFINITY } = this.#options.limits ?? {};
    if (count > entries) throw exceeded(`${entries} entries`);
  }

  /** Adds to an error which member it is about. */
  #told(work: () => void): void {
    try {
      work();
    } catch (error) {
      if (!(error instanceof Ext4Error)) throw error;
      const message = `Cannot convert tar member ${quoted(this.#member)} at byte ${this.#offset}: ${error.message}`;
      throw new Ext4Error(error.code, message, { cause: error });
    }
  }
}

function exceeded(limit: string): Ext4Error {
  return new Ext4Error(
    'LIMIT_EXCEEDED',
    `Cannot convert the tar archive: it has more than the allowed ${limit}`,
  );
}

function attributesOf(entry: TarEntry): FileAttributes {
  const { mode, uid, gid, modified, accessed = modified, changed = modified, xattrs } = entry;
  return { mode, uid, gid, modified, accessed, changed, created: modified, xattrs };
}

function forward(path: string): string {
  return path.replaceAll('\\', '/');
}
