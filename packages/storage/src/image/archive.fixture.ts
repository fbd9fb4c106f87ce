import { createHash } from 'node:crypto';

export interface Entry {
  name: string;
  /** @default '0', a file */
  type?: string;
  content?: string | Uint8Array;
  target?: string;
  mode?: number;
  uid?: number;
  gid?: number;
  time?: number;
  device?: [number, number];
  /** PAX records for this entry. */
  pax?: Record<string, string>;
}

/** Writes an archive exactly as told, also one that no sane program would write. */
export function tar(entries: readonly Entry[]): Buffer {
  return Buffer.concat([...entries.flatMap(blocksOf), Buffer.alloc(1024)]);
}

function blocksOf(entry: Entry): Buffer[] {
  const { pax, ...plain } = entry;
  if (!pax) return [headerOf(plain), padded(plain.content)];
  const records = Object.entries(pax).map(([key, value]) => record(key, value));
  return [...blocksOf({ name: 'pax', type: 'x', content: Buffer.concat(records) }), ...blocksOf(plain)];
}

function record(key: string, value: string): Buffer {
  const rest = Buffer.from(` ${key}=${value}\n`, 'latin1');
  let length = rest.length + 1;
  while (`${length}`.length + rest.length !== length) length++;
  return Buffer.concat([Buffer.from(String(length)), rest]);
}

function headerOf(entry: Entry): Buffer {
  const block = Buffer.alloc(512);
  const octal = (value: number, at: number, length: number): void => {
    block.write(value.toString(8).padStart(length - 1, '0'), at, 'latin1');
  };
  block.write(entry.name, 0, 100, 'latin1');
  octal(entry.mode ?? 0o644, 100, 8);
  octal(entry.uid ?? 0, 108, 8);
  octal(entry.gid ?? 0, 116, 8);
  octal(Buffer.from(entry.content ?? '').length, 124, 12);
  octal(entry.time ?? 0, 136, 12);
  block.write(entry.type ?? '0', 156, 'latin1');
  block.write(entry.target ?? '', 157, 100, 'latin1');
  block.write('ustar\x0000', 257, 'latin1');
  octal(entry.device?.[0] ?? 0, 329, 8);
  octal(entry.device?.[1] ?? 0, 337, 8);
  block.fill(' ', 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}

function padded(content: string | Uint8Array = ''): Buffer {
  const bytes = Buffer.from(content);
  return Buffer.concat([bytes, Buffer.alloc((512 - (bytes.length % 512)) % 512)]);
}

export function sha256(bytes: Uint8Array | string): string {
  return createHash('sha256').update(bytes).digest('hex');
}
