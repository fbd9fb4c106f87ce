import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { open } from 'node:fs/promises';
import { HcsError } from '@hcsshim/schema';

/** Where a file system shows its name. Offsets and values: the kernel's `*_fs.h` headers. */
const signatures: { type: string; offset: number; bytes: number[] }[] = [
  { type: 'ext4', offset: 0x438, bytes: [0x53, 0xef] },
  { type: 'xfs', offset: 0, bytes: [0x58, 0x46, 0x53, 0x42] },
  { type: 'erofs', offset: 0x400, bytes: [0xe2, 0xe1, 0xf5, 0xe0] },
  { type: 'squashfs', offset: 0, bytes: [0x68, 0x73, 0x71, 0x73] },
];

const probeLength = 4096;

/** The type of the file system on a block device, or undefined when it is none of those known here. */
export async function detectFilesystem(device: string): Promise<string | undefined> {
  await using file = await open(device, 'r');
  const { buffer } = await file.read({ buffer: Buffer.alloc(probeLength), position: 0 });
  return signatures.find(({ offset, bytes }) => bytes.every((byte, index) => buffer[offset + index] === byte))
    ?.type;
}

const formatters: Record<string, readonly string[]> = {
  ext4: ['mkfs.ext4', '-F', '-q'],
  xfs: ['mkfs.xfs', '-f', '-q'],
};

/** How much of a formatter's output an error may carry. */
const outputLimit = 2000;

/** Makes a file system on a block device. Throws E_INVALIDARG for a type that cannot be made. */
export async function formatFilesystem(type: string, device: string): Promise<void> {
  const action = `Cannot make an "${type}" file system on "${device}"`;
  const command = Object.hasOwn(formatters, type) ? formatters[type] : undefined;
  if (!command) {
    throw new HcsError({
      action,
      problem: `use ${Object.keys(formatters).join(' or ')}`,
      code: 'E_INVALIDARG',
    });
  }
  const [program, ...args] = command;
  const child = spawn(program as string, [...args, device], { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      output = (output + chunk).slice(-outputLimit);
    });
  }
  const [code, signal] = await once(child, 'close');
  if (code === 0) return;
  throw new HcsError({
    action,
    problem: `${program} ended with ${signal ?? `code ${code}`}: ${output.trim()}`,
    code: 'E_FAIL',
  });
}
