import { describeFlags, FlagError, type Flags, parseFlags } from '@hcsshim/program';

const flags = {
  input: { names: ['i'], value: 'FILE', meaning: 'the archive; standard input if absent' },
  output: { names: ['o'], value: 'FILE', meaning: 'the image' },
  overlay: { names: ['overlay'], meaning: 'turn whiteouts of image layers into those of overlayfs' },
  convertSlash: { names: ['convert-slash'], meaning: 'take "\\" in names for "/"' },
  vhd: { names: ['vhd'], meaning: 'end the image with the footer of a fixed VHD' },
  onlyVhd: {
    names: ['only-vhd'],
    meaning: 'copy the input as it is and add the footer; all flags but -i and -o are ignored',
  },
  inline: { names: ['inline'], meaning: 'keep small files in their inodes; DAX cannot be used then' },
  uuid: { names: ['uuid'], value: 'GUID', meaning: 'of the file system; zeros if absent' },
  label: { names: ['label'], value: 'NAME', meaning: 'of the file system, at most 16 bytes' },
  maxSize: {
    names: ['max-size'],
    value: 'BYTES',
    meaning: 'the largest image to make, also with K, M, G or T; 16G if absent',
  },
  index: {
    names: ['index'],
    meaning: 'index large directories, so that names are found without reading them',
  },
  journal: {
    names: ['journal'],
    value: 'BYTES',
    meaning: 'give it a journal of 4M to 512M, and let it be written to',
  },
  metadataChecksums: { names: ['metadata-checksums'], meaning: 'protect all metadata with CRC-32C' },
} as const satisfies Flags;

export const usage = `Usage: tar2ext4 [-i FILE] -o FILE [flags]

Makes an ext4 image of a tar archive, which may be compressed with gzip or zstd.

${describeFlags(flags)}
The time of making is SOURCE_DATE_EPOCH of the environment, or 1970-01-01.
`;

/** What decides the bytes of an image. */
export interface ImageOptions {
  overlay: boolean;
  convertSlash: boolean;
  vhd: boolean;
  onlyVhd: boolean;
  inline: boolean;
  index: boolean;
  /** In bytes. */
  journal?: number;
  metadataChecksums: boolean;
  uuid?: string;
  label?: string;
  /** In bytes. */
  maxSize?: number;
  /** Seconds from the Unix epoch. */
  time?: number;
}

export type CommandLine = 'help' | 'wrong use' | { input?: string; output: string; image: ImageOptions };

/** Reads the command line and the environment. Throws FlagError. */
export function readCommandLine(words: readonly string[], environment: NodeJS.ProcessEnv): CommandLine {
  const { values, rest, help } = parseFlags(flags, words);
  if (help) return 'help';
  const { input, output, uuid, label, maxSize, journal, ...switches } = values;
  if (rest.length > 0 || !output) return 'wrong use';
  const time = environment.SOURCE_DATE_EPOCH;
  return {
    ...(input && { input }),
    output,
    image: {
      ...switches,
      ...(uuid !== undefined && { uuid: readUuid(uuid) }),
      ...(label !== undefined && { label: readLabel(label) }),
      ...(maxSize !== undefined && { maxSize: Math.min(readSize('max-size', maxSize), largestDisk) }),
      ...(journal !== undefined && { journal: readSize('journal', journal) }),
      ...(time && { time: readTime(time) }),
    },
  };
}

function readUuid(text: string): string {
  if (/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text)) return text.toLowerCase();
  throw new FlagError(`Cannot take --uuid "${text}": give it as 01234567-89ab-cdef-0123-456789abcdef`);
}

function readLabel(text: string): string {
  if (Buffer.byteLength(text) <= 16) return text;
  throw new FlagError(`Cannot take --label "${text}": it has more than 16 bytes`);
}

const unitShift: Readonly<Record<string, number>> = { K: 10, M: 20, G: 30, T: 40 };
/** As the superblock's field can say it. */
const lastTime = 2 ** 32 - 1;
const largestSize = 2 ** 44;
/** Block numbers have 32 bits. */
const largestDisk = largestSize - 4096;

function readSize(flag: string, text: string): number {
  const [, digits, unit = ''] = /^([0-9]{1,15})([KMGT]?)$/i.exec(text) ?? [];
  const size = Number(digits) * 2 ** (unitShift[unit.toUpperCase()] ?? 0);
  if (size > 0 && size <= largestSize) return size;
  throw new FlagError(`Cannot take --${flag} "${text}": give bytes, as in 1073741824 or 1G, up to 16T`);
}

function readTime(text: string): number {
  if (/^[0-9]{1,10}$/.test(text) && Number(text) <= lastTime) return Number(text);
  throw new FlagError(
    `Cannot take SOURCE_DATE_EPOCH "${text}": give seconds from 1970-01-01 on, up to ${lastTime}`,
  );
}
