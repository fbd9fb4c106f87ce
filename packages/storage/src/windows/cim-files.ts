import { open, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { HcsError } from '@hcsshim/schema';
import { guidFromBytes } from '@hcsshim/windows';
import { type LayerCallOptions, layerCall } from './layer-call.ts';

/*
 * The file of an image, little-endian (hcsshim's pkg/cimfs/format):
 *
 *   0   "cimfile0"
 *   8   length of the header, type, reserved
 *  16   version: major, minor
 *  32   GUID of its region set
 *  48   number of regions (16 bits)
 *
 * What it holds is in files beside it, region_<GUID>_<n> and objectid_<GUID>_<n>, which forks of it share.
 */
const magic = 'cimfile0';
const headerBytes = 56;
const versions = { oldest: 2, newest: 3 };

/** Removes an image, with the files beside it that hold what it has. Forks that share them end with it. */
export async function destroyCim(path: string, options: LayerCallOptions = {}): Promise<void> {
  return layerCall(`destroy image "${path}"`, options, async () => {
    for (const file of await filesBeside(path)) await rm(file, { force: true });
    await rm(path);
  });
}

/** Bytes on disk of the files that hold what an image has. */
export async function cimUsage(path: string, options: LayerCallOptions = {}): Promise<bigint> {
  return layerCall(`measure image "${path}"`, options, async () => {
    let bytes = 0n;
    for (const file of await filesBeside(path)) bytes += (await stat(file, { bigint: true })).size;
    return bytes;
  });
}

/** Those that are there: not every region has both. */
async function filesBeside(path: string): Promise<string[]> {
  const { id, count } = await readHeader(path);
  const files: string[] = [];
  for (const kind of ['region', 'objectid']) {
    for (let index = 0; index < count; index++) {
      const file = join(dirname(path), `${kind}_${id}_${index}`);
      if (await isThere(file)) files.push(file);
    }
  }
  return files;
}

async function readHeader(path: string): Promise<{ id: string; count: number }> {
  await using file = await open(path);
  const header = Buffer.alloc(headerBytes);
  const { bytesRead } = await file.read(header, 0, headerBytes, 0);
  if (bytesRead < headerBytes || header.toString('latin1', 0, 8) !== magic) throw noImage('it is no image');
  const major = header.readUInt32LE(16);
  if (major < versions.oldest || major > versions.newest)
    throw noImage(`it is of version ${major}, not ${versions.oldest} to ${versions.newest}`);
  return { id: guidFromBytes(header.subarray(32, 48)), count: header.readUInt16LE(48) };
}

async function isThere(file: string): Promise<boolean> {
  try {
    await stat(file);
    return true;
  } catch (error) {
    if ((error as { code?: unknown }).code === 'ENOENT') return false;
    throw error;
  }
}

function noImage(problem: string): HcsError {
  return new HcsError({ action: 'Cannot read its header', problem, code: 'ERROR_INVALID_DATA' });
}
