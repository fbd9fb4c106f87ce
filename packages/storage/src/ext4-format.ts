import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { HcsError } from '@hcsshim/schema';
import { blockSize } from './ext4-census.ts';
import { runTool } from './tool.ts';

export interface Ext4FormatOptions {
  /** Size of the file system; a multiple of 4096. */
  bytes: number;
  /** How many files it can hold. @default one for every 16 KiB */
  inodes?: number;
  /** At most 16 bytes. */
  label?: string;
  /** A GUID. @default random */
  uuid?: string;
  /** A directory whose content it begins with. */
  directory?: string;
  /** The time written into the file system itself, seconds from the Unix epoch. @default now */
  time?: number;
  signal?: AbortSignal | undefined;
}

/**
 * No journal: a layer is only read, and a scratch disk is never used again after a crash. No checksums of
 * metadata, so that the guest's kernel needs no further module. No copies of the superblock and all metadata in one
 * place, so that an empty file system is a few blocks in a sparse file.
 */
const features = [
  'none',
  'ext_attr',
  'dir_index',
  'filetype',
  'extent',
  'flex_bg',
  'large_file',
  'huge_file',
  'uninit_bg',
  'dir_nlink',
  'extra_isize',
  'sparse_super2',
].join(',');

/** Thrown when the tree does not fit. */
export class Ext4FullError extends Error {}

/**
 * Formats a file of `bytes` bytes, all holes, as ext4. The kernel that mounts it need not zero inode tables in
 * the background: they are marked as zero, as the holes of a new file are.
 */
export async function formatExt4(path: string, options: Ext4FormatOptions): Promise<void> {
  const { bytes, inodes, label, uuid, directory, time, signal } = options;
  {
    await using file = await open(path, 'wx', 0o600);
    await file.truncate(bytes);
  }
  const extended = [
    'lazy_itable_init=1',
    'assume_storage_prezeroed=1',
    'nodiscard',
    'num_backup_sb=0',
    ...(uuid === undefined ? [] : [`hash_seed=${hashSeed(uuid)}`]),
  ];
  const { exitCode, complaint } = await runTool(
    'mke2fs',
    [
      ...['-q', '-F', '-b', String(blockSize), '-I', '256', '-m', '0', '-G', '256'],
      ...['-O', features, '-E', extended.join(',')],
      ...(inodes === undefined ? ['-i', '16384'] : ['-N', String(inodes)]),
      ...(label === undefined ? [] : ['-L', label]),
      ...(uuid === undefined ? [] : ['-U', uuid]),
      ...(directory === undefined ? [] : ['-d', directory]),
      path,
    ],
    {
      signal,
      // The host's own defaults must not show in the image.
      env: {
        MKE2FS_CONFIG: '/dev/null',
        ...(time === undefined ? {} : { E2FSPROGS_FAKE_TIME: String(time) }),
      },
    },
  );
  if (exitCode === 0) return;
  if (isFull(complaint)) throw new Ext4FullError(complaint);
  throw new HcsError({
    action: `Cannot make an ext4 file system${directory === undefined ? '' : ` of "${directory}"`}`,
    problem: `mke2fs says: ${lastLine(complaint)}`,
    code: 'E_FAIL',
  });
}

/**
 * Runs debugfs's commands on an unmounted image. Throws when a single one fails. Commands are bytes, because
 * names in a file system are.
 */
export async function editExt4(
  path: string,
  script: string,
  { signal, time }: { signal?: AbortSignal | undefined; time?: number | undefined } = {},
): Promise<void> {
  const { exitCode, complaint } = await runTool('debugfs', ['-w', '-f', script, path], {
    signal,
    // It notes in the superblock when it wrote.
    env: time === undefined ? {} : { E2FSPROGS_FAKE_TIME: String(time) },
  });
  // It ends with success whatever happened; what went wrong is on standard error, below its own name.
  const complaints = complaint.split('\n').slice(1).join('\n').trim();
  if (exitCode === 0 && complaints === '') return;
  if (isFull(complaints)) throw new Ext4FullError(complaints);
  throw new HcsError({
    action: `Cannot fill the ext4 file system "${path}"`,
    problem: `debugfs says: ${lastLine(complaints)}`,
    code: 'E_FAIL',
  });
}

/** A word of a debugfs command; undefined when the language has no way to write it. */
export function debugfsWord(bytes: Buffer | string): string | undefined {
  const text = typeof bytes === 'string' ? bytes : bytes.toString('latin1');
  return /[\n\r\0]/.test(text) ? undefined : `"${text.replaceAll('"', '""')}"`;
}

/** The two words of a time in an inode: seconds of 32 bits, and nanoseconds with two more bits of seconds. */
export function inodeTime(nanoseconds: bigint): { seconds: string; extra: string } {
  const billion = 1_000_000_000n;
  const fraction = ((nanoseconds % billion) + billion) % billion;
  const seconds = (nanoseconds - fraction) / billion;
  const epoch = ((seconds - BigInt.asIntN(32, seconds)) >> 32n) & 3n;
  return { seconds: `@${BigInt.asUintN(32, seconds)}`, extra: `${(fraction << 2n) | epoch}` };
}

function isFull(complaint: string): boolean {
  return /could not allocate|no free space|no space left|allocate inode/i.test(complaint);
}

function lastLine(text: string): string {
  return text.trim().split('\n').at(-1) ?? '';
}

/** A seed of its own, so that equal images need only an equal uuid. */
function hashSeed(uuid: string): string {
  const hex = createHash('sha256').update(`hash seed of ${uuid}`).digest('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join(
    '-',
  );
}
