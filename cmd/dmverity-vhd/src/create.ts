import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { systemProblem } from '@hcsshim/program';
import { type ImageRequest, openImageSource } from './image-source.ts';
import { createLayerVhd } from './layer-vhd.ts';

export interface CreateOptions {
  /** Made if it is not there. */
  outDir: string;
  /** Put the hash device in a VHD of its own. */
  hashDevVhd: boolean;
  /** Told of each line for the user. */
  say: (line: string) => void;
}

/** Makes a VHD of each layer of an image, named by what is in it. */
export async function createImageVhds(request: ImageRequest, options: CreateOptions): Promise<void> {
  const { outDir, hashDevVhd, say } = options;
  const { note, signal } = request;
  await makeDirectory(outDir);
  await using image = await openImageSource(request);
  const rootHashes = new Map<string, string>();
  for (const [index, { diffId, open }] of image.layers.entries()) {
    const [output, hashDevice] = pathsFor(outDir, diffId.replace('sha256:', ''), hashDevVhd);
    let rootHash = rootHashes.get(diffId);
    if (rootHash === undefined) {
      note(`Converting layer ${index}, ${diffId}`);
      const layer = { label: `layer ${index}`, archive: open(), identity: () => diffId, signal };
      rootHash = await createLayerVhd(layer, { output, hashDevice });
      rootHashes.set(diffId, rootHash);
    }
    if (hashDevice !== undefined) say(`hash device created at ${hashDevice}`);
    say(`Layer VHD created at ${output}`);
    say(`Layer ${index} root hash: ${rootHash}`);
  }
}

/** Makes a VHD of a tar archive of a directory, named by the archive's path. */
export async function createDirectoryVhd(
  archive: string,
  { outDir, hashDevVhd, say }: CreateOptions,
  signal: AbortSignal,
): Promise<void> {
  await makeDirectory(outDir);
  const name = archive.replaceAll('/', '_').replace(/\.tar$/, '');
  const [output, hashDevice] = pathsFor(outDir, name, hashDevVhd);
  const hash = createHash('sha256');
  const layer = {
    label: 'directory',
    archive: readArchive(archive, (chunk) => hash.update(chunk), signal),
    identity: () => hash.digest('hex'),
    signal,
  };
  const rootHash = await createLayerVhd(layer, { output, hashDevice });
  if (hashDevice !== undefined) say(`hash device created at ${hashDevice}`);
  say(`Directory VHD created at ${output}`);
  say(`Directory root hash: ${rootHash}`);
}

async function makeDirectory(path: string): Promise<void> {
  await mkdir(path, { recursive: true }).catch((cause: unknown) => {
    throw new Error(`Cannot make directory "${path}": ${systemProblem(cause)}`, { cause });
  });
}

function pathsFor(outDir: string, name: string, hashDevVhd: boolean): [string, string | undefined] {
  return [join(outDir, `${name}.vhd`), hashDevVhd ? join(outDir, `${name}.hash-dev.vhd`) : undefined];
}

async function* readArchive(
  path: string,
  note: (chunk: Uint8Array) => void,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20, signal })) {
      note(chunk as Uint8Array);
      yield chunk as Uint8Array;
    }
  } catch (cause) {
    signal.throwIfAborted();
    throw new Error(`Cannot read "${path}": ${systemProblem(cause)}`, { cause });
  }
}
