import { constants, createReadStream } from 'node:fs';
import { type FileHandle, open, readFile, realpath, stat } from 'node:fs/promises';
import { join, posix, sep } from 'node:path';
import { Readable } from 'node:stream';
import { TarDecoder, type TarEntry } from '@hcsshim/ext4';
import { HcsError } from '@hcsshim/schema';

/** The files that an image consists of, by their paths in it. */
export interface ImageFiles extends AsyncDisposable {
  has(path: string): Promise<boolean>;
  /** Throws ERROR_FILE_NOT_FOUND, and ERROR_INVALID_DATA for one of more than `limit` bytes. */
  read(path: string, limit: number): Promise<Uint8Array>;
  open(path: string): Promise<Readable>;
}

/** Files in a directory. A link that leads out of it is refused. */
export function directoryFiles(directory: string): ImageFiles {
  const locate = async (path: string): Promise<string> => {
    const root = await realpath(directory);
    const target = await realpath(join(root, path)).catch((cause: unknown) => {
      throw missing(directory, path, cause);
    });
    if (target.startsWith(root + sep)) return target;
    throw new HcsError({
      action: `Cannot read "${path}" of image "${directory}"`,
      problem: 'it leads out of the image',
      code: 'ERROR_INVALID_DATA',
    });
  };
  return {
    has: (path) =>
      locate(path).then(
        () => true,
        () => false,
      ),
    read: async (path, limit) => {
      const target = await locate(path);
      checkSize(directory, path, (await stat(target)).size, limit);
      return readFile(target);
    },
    open: async (path) => createReadStream(await locate(path)),
    [Symbol.asyncDispose]: async () => {},
  };
}

interface Place {
  offset: number;
  size: number;
}

const mostFiles = 100_000;
/** Small, because most of what it reads is one header before a large content. */
const stride = 4096;

/** Files in an archive, which is gone through once and read in place after that. */
export async function archiveFiles(archive: string): Promise<ImageFiles> {
  const file = await open(archive, constants.O_RDONLY);
  try {
    const places = await findPlaces(file, archive);
    const locate = (path: string): Place => {
      const place = places.get(posix.normalize(path));
      if (place) return place;
      throw missing(archive, path, undefined);
    };
    return {
      has: async (path) => places.has(posix.normalize(path)),
      read: async (path, limit) => {
        const { offset, size } = locate(path);
        checkSize(archive, path, size, limit);
        const bytes = new Uint8Array(size);
        await file.read(bytes, 0, size, offset);
        return bytes;
      },
      open: async (path) => {
        const { offset, size } = locate(path);
        if (size === 0) return Readable.from([]);
        return file.createReadStream({ start: offset, end: offset + size - 1, autoClose: false });
      },
      [Symbol.asyncDispose]: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function findPlaces(file: FileHandle, archive: string): Promise<Map<string, Place>> {
  const places = new Map<string, Place>();
  const links: [string, string][] = [];
  const take = ({ path: name, type, target, contentOffset, size }: TarEntry): void => {
    const path = posix.normalize(name);
    if (type === 'file') places.set(path, { offset: contentOffset, size });
    // An older docker saves a layer that two images share as a link.
    if (type === 'symlink') links.push([path, posix.join(posix.dirname(path), target)]);
    if (type === 'hardlink') links.push([path, posix.normalize(target)]);
    if (places.size + links.length > mostFiles) {
      throw new HcsError({
        action: `Cannot read image "${archive}"`,
        problem: `it has more than ${mostFiles} files, is it a root file system? Then unpack it and give the directory`,
        code: 'ERROR_INVALID_DATA',
      });
    }
  };
  const decoder = new TarDecoder({ entry: take, data() {}, hole() {} });
  const { size } = await file.stat();
  const bytes = new Uint8Array(stride);
  for (let position = 0; ; position += decoder.skippable, decoder.skip()) {
    const { bytesRead } = await file.read(bytes, 0, stride, position);
    if (bytesRead === 0 && position <= size) break;
    if (bytesRead === 0) throw cutShort(archive);
    decoder.push(bytes.subarray(0, bytesRead));
    position += bytesRead;
  }
  decoder.end();
  for (const [path, target] of links) {
    const place = places.get(target);
    if (place) places.set(path, place);
  }
  return places;
}

function cutShort(archive: string): HcsError {
  return new HcsError({
    action: `Cannot read image "${archive}"`,
    problem: 'it ends in the middle of a file',
    code: 'ERROR_INVALID_DATA',
  });
}

function checkSize(image: string, path: string, size: number, limit: number): void {
  if (size <= limit) return;
  throw new HcsError({
    action: `Cannot read "${path}" of image "${image}"`,
    problem: `it has ${size} bytes, allowed are ${limit}`,
    code: 'ERROR_INVALID_DATA',
  });
}

function missing(image: string, path: string, cause: unknown): HcsError {
  return new HcsError({
    action: `Cannot read "${path}" of image "${image}"`,
    problem: 'it is not there',
    code: 'ERROR_FILE_NOT_FOUND',
    cause,
  });
}
