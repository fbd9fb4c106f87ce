import { HcsError } from '@hcsshim/schema';
import { bind, cimfs, type Handle, OwnedHandle, setPointer } from '@hcsshim/windows';
import { absolutePath, type LayerCallOptions, layerCall } from './layer-call.ts';

/** Grants everybody everything, as "D:NO_ACCESS_CONTROL" does: without any descriptor Windows writes images that it cannot read. */
const noAccessControl = Buffer.from([1, 0, 4, 128, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);

const directoryAttribute = 0x10;

/** Bytes that one call writes at most. */
const maxWrite = 1024 * 1024;

/** What Windows keeps of a file besides its bytes. Times are FILETIMEs: units of 100 ns since the year 1601. */
export interface CimFile {
  /** `FILE_ATTRIBUTE_…` (winnt.h). */
  attributes: number;
  /** In bytes; 0 for a directory. */
  size: bigint;
  /** @default 0, for each time */
  creationTime?: bigint;
  lastWriteTime?: bigint;
  changeTime?: bigint;
  lastAccessTime?: bigint;
  /** Self-relative. @default one that grants everybody everything */
  securityDescriptor?: Uint8Array;
  reparseData?: Uint8Array;
  /** `FILE_FULL_EA_INFORMATION`, one after the other. */
  extendedAttributes?: Uint8Array;
}

/** The bytes of a file, whole or piece by piece. */
export type CimContent = Uint8Array | AsyncIterable<Uint8Array>;

export interface CimImageOptions extends LayerCallOptions {
  /** Name of the image to write. @default that of `from`, which is then replaced */
  name?: string;
  /** Name of an image in the same folder, which the new one begins as. @default an empty one */
  from?: string;
}

/**
 * A composite image (CimFS) that is being written, through `cimfs.dll`. It is there once {@link CimImage.commit} has
 * succeeded; one that is disposed of before that is not. One call at a time. Paths in it are like `Files\Windows`.
 */
export class CimImage implements AsyncDisposable {
  /** Path of the image, for messages. */
  readonly path: string;
  readonly #handle: OwnedHandle<'CIMFS_IMAGE_HANDLE'>;
  /** Set when a file in it did not get the bytes that it was said to have. */
  #isDamaged = false;

  private constructor(path: string, handle: Handle<'CIMFS_IMAGE_HANDLE'>) {
    this.path = path;
    this.#handle = new OwnedHandle('CIMFS_IMAGE_HANDLE', handle, (image) =>
      bind(cimfs).CimCloseImage({ image }),
    );
  }

  /** @param folder Where the image's files are, or will be. Must be there. */
  static async create(folder: string, { name, from, ...options }: CimImageOptions): Promise<CimImage> {
    const path = `${folder}\\${name ?? from ?? ''}`;
    return layerCall(`create image "${path}"`, options, async (deadline) => {
      const { image } = await bind(cimfs).CimCreateImage({
        imagePath: absolutePath(folder, 'image'),
        oldFileSystemName: from,
        newFileSystemName: name,
      });
      const created = new CimImage(path, image);
      if (deadline.aborted) await created[Symbol.asyncDispose]();
      return created;
    });
  }

  /** Adds a file with its bytes, or a directory. The directory that it is in must have been added before. */
  async addFile(
    path: string,
    file: CimFile,
    content: CimContent = new Uint8Array(),
    options: LayerCallOptions = {},
  ) {
    const isDirectory = (file.attributes & directoryAttribute) !== 0;
    const size = isDirectory ? 0n : file.size;
    await this.#addStream(path, size, content, options, (image) =>
      bind(cimfs).CimCreateFile({ image, path: imagePath(path), metadata: metadata({ ...file, size }) }),
    );
  }

  /** Adds an alternate data stream to a file that was added: `Files\a:name`. @param size In bytes. */
  async addAlternateStream(path: string, size: bigint, content: CimContent, options: LayerCallOptions = {}) {
    await this.#addStream(path, size, content, options, (image) =>
      bind(cimfs).CimCreateAlternateStream({ image, path: imagePath(path), size }),
    );
  }

  /** Adds another name for a file that was added. */
  async addLink(newPath: string, oldPath: string, options: LayerCallOptions = {}): Promise<void> {
    return layerCall(`link "${newPath}" to "${oldPath}" in image "${this.path}"`, options, () =>
      this.#handle.use((image) =>
        bind(cimfs).CimCreateHardLink({ image, newPath: imagePath(newPath), oldPath: imagePath(oldPath) }),
      ),
    );
  }

  /** Removes a file, or a directory with all in it. */
  async remove(path: string, options: LayerCallOptions = {}): Promise<void> {
    return layerCall(`remove "${path}" from image "${this.path}"`, options, () =>
      this.#handle.use((image) => bind(cimfs).CimDeletePath({ image, path: imagePath(path) })),
    );
  }

  /** Writes the image. Refuses one in which a file did not get all of its bytes. */
  async commit(options: LayerCallOptions = {}): Promise<void> {
    return layerCall(`write image "${this.path}"`, options, async () => {
      if (this.#isDamaged) throw wrongContent('a file in it did not get the bytes that it was said to have');
      await this.#handle.use((image) => bind(cimfs).CimCommitImage({ image }));
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle.close();
  }

  async #addStream(
    path: string,
    size: bigint,
    content: CimContent,
    options: LayerCallOptions,
    create: (image: Handle<'CIMFS_IMAGE_HANDLE'>) => Promise<{ stream: Handle<'CIMFS_STREAM_HANDLE'> }>,
  ): Promise<void> {
    return layerCall(`add "${path}" to image "${this.path}"`, options, (deadline) =>
      this.#handle.use(async (image) => {
        const { stream } = await create(image);
        await using _ = { [Symbol.asyncDispose]: () => bind(cimfs).CimCloseStream({ stream }) };
        // Until all is there. Windows would not say so when the stream is closed.
        const wasDamaged = this.#isDamaged;
        this.#isDamaged = true;
        await writeAll(stream, size, content, deadline);
        this.#isDamaged = wasDamaged;
      }),
    );
  }
}

async function writeAll(
  stream: Handle<'CIMFS_STREAM_HANDLE'>,
  size: bigint,
  content: CimContent,
  deadline: AbortSignal,
): Promise<void> {
  let left = size;
  for await (const piece of content instanceof Uint8Array ? [content] : content) {
    if (BigInt(piece.length) > left)
      throw wrongContent(`it has more than the ${size} bytes that it was said to have`);
    left -= BigInt(piece.length);
    for (let offset = 0; offset < piece.length; offset += maxWrite) {
      deadline.throwIfAborted();
      const buffer = piece.subarray(offset, offset + maxWrite);
      await bind(cimfs).CimWriteStream({ stream, buffer, length: buffer.length });
    }
  }
  if (left > 0n) throw wrongContent(`it has ${left} bytes less than it was said to have`);
}

/**
 * `CIMFS_FILE_METADATA` (cimfs.h): attributes, at 8 the size, from 16 on four times; then three times a pointer and the length of
 * what it points to: security descriptor at 48, reparse data at 64, extended attributes at 80.
 */
function metadata(file: CimFile): Buffer {
  const bytes = Buffer.alloc(96);
  bytes.writeUInt32LE(file.attributes, 0);
  bytes.writeBigInt64LE(file.size, 8);
  const times = [file.creationTime, file.lastWriteTime, file.changeTime, file.lastAccessTime];
  for (const [index, time] of times.entries()) bytes.writeBigInt64LE(time ?? 0n, 16 + 8 * index);
  const parts = [file.securityDescriptor ?? noAccessControl, file.reparseData, file.extendedAttributes];
  for (const [index, part] of parts.entries()) {
    if (part === undefined || part.length === 0) continue;
    setPointer(bytes, 48 + 16 * index, part);
    bytes.writeUInt32LE(part.length, 56 + 16 * index);
  }
  return bytes;
}

/** A path in an image, from its root. Throws E_INVALIDARG for one that leads anywhere else. */
function imagePath(path: string): string {
  const plain = path.endsWith('\\') ? path.slice(0, -1) : path;
  const names = plain.split('\\');
  if (!names.some((name) => name === '' || name === '.' || name === '..' || /[/\0]/.test(name))) return plain;
  throw new HcsError({
    action: `Cannot use "${path}" as a path in an image`,
    problem: 'it does not lead down from its root, write it as Files\\Windows',
    code: 'E_INVALIDARG',
  });
}

function wrongContent(problem: string): HcsError {
  return new HcsError({ action: 'Cannot use its content', problem, code: 'ERROR_INVALID_DATA' });
}
