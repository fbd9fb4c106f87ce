import { promisify } from 'node:util';
import { gunzip, zstdDecompress } from 'node:zlib';
import { runHostTool } from './host-tool.ts';

type Decompressor = (bytes: Uint8Array, action: string, signal?: AbortSignal) => Promise<Uint8Array>;

/** Largest output that is taken. */
const maxOutputLength = 2 ** 30;

const formats: { name: string; magic: number[]; decompress: Decompressor }[] = [
  { name: 'gzip', magic: [0x1f, 0x8b], decompress: (bytes) => promisify(gunzip)(bytes, { maxOutputLength }) },
  {
    name: 'zstd',
    magic: [0x28, 0xb5, 0x2f, 0xfd],
    decompress: (bytes) => promisify(zstdDecompress)(bytes, { maxOutputLength }),
  },
  {
    name: 'xz',
    magic: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00],
    decompress: (input, action, signal) => runHostTool('xz', ['-dc'], { action, input, signal }),
  },
  // The legacy frame, which is what the kernel's build writes.
  {
    name: 'lz4',
    magic: [0x02, 0x21, 0x4c, 0x18],
    decompress: (input, action, signal) => runHostTool('lz4', ['-dc'], { action, input, signal }),
  },
];

/** Decompresses gzip, zstd, xz or lz4, told apart by the first bytes. `action` opens the error: `Cannot unpack "x"`. */
export function decompress(bytes: Uint8Array, action: string, signal?: AbortSignal): Promise<Uint8Array> {
  const format = formats.find(({ magic }) => magic.every((byte, at) => bytes[at] === byte));
  if (format) return format.decompress(bytes, action, signal);
  const start = Buffer.from(bytes.subarray(0, 6)).toString('hex');
  throw new Error(
    `${action}: it is compressed in a way that is not known (begins ${start}), one of ${formats.map((f) => f.name).join(', ')} is needed`,
  );
}
