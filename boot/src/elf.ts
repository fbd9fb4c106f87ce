/*
 * The parts of a 64-bit little-endian ELF file that a build looks at:
 *
 *     header 64 bytes: e_phoff @32, e_shoff @40, e_phentsize @54, e_phnum @56, e_shentsize @58, e_shnum @60, e_shstrndx @62
 *     program header:  p_type @0, p_offset @8, p_vaddr @16, p_filesz @32
 *     section header:  sh_name @0, sh_offset @24, sh_size @32
 *     dynamic entry:   d_tag @0, d_val @8
 */

const programTypes = { load: 1, dynamic: 2, interpreter: 3 } as const;
const dynamicTags = { needed: 1, stringTable: 5 } as const;

export function isElf(file: Uint8Array): boolean {
  const [m0, m1, m2, m3, wordSize, byteOrder] = file;
  return m0 === 0x7f && m1 === 0x45 && m2 === 0x4c && m3 === 0x46 && wordSize === 2 && byteOrder === 1;
}

interface Segment {
  type: number;
  offset: number;
  address: number;
  size: number;
}

function segments(file: Uint8Array): Segment[] {
  const view = viewOf(file);
  const [start, entrySize] = [Number(view.getBigUint64(32, true)), view.getUint16(54, true)];
  return Array.from({ length: view.getUint16(56, true) }, (_, index) => {
    const at = start + index * entrySize;
    return {
      type: view.getUint32(at, true),
      offset: Number(view.getBigUint64(at + 8, true)),
      address: Number(view.getBigUint64(at + 16, true)),
      size: Number(view.getBigUint64(at + 32, true)),
    };
  });
}

/** The bytes of the named section, undefined when there is none. */
export function elfSection(file: Uint8Array, name: string): Uint8Array | undefined {
  const view = viewOf(file);
  const [start, entrySize] = [Number(view.getBigUint64(40, true)), view.getUint16(58, true)];
  const section = (index: number): { name: number; bytes: Uint8Array } => {
    const at = start + index * entrySize;
    const offset = Number(view.getBigUint64(at + 24, true));
    return {
      name: view.getUint32(at, true),
      bytes: file.subarray(offset, offset + Number(view.getBigUint64(at + 32, true))),
    };
  };
  const names = section(view.getUint16(62, true)).bytes;
  for (let index = 0; index < view.getUint16(60, true); index++) {
    const candidate = section(index);
    if (cString(names, candidate.name) === name) return candidate.bytes;
  }
  return undefined;
}

/** What the dynamic loader has to find: the program's interpreter (a path) and its libraries (names). */
export function elfNeeds(file: Uint8Array): { interpreter?: string; libraries: string[] } {
  const all = segments(file);
  const interpreter = all.find(({ type }) => type === programTypes.interpreter);
  const dynamic = all.find(({ type }) => type === programTypes.dynamic);
  const view = viewOf(file);
  const needed: number[] = [];
  let strings = 0;
  for (let at = dynamic?.offset ?? 0, end = at + (dynamic?.size ?? 0); at < end; at += 16) {
    const tag = Number(view.getBigInt64(at, true));
    const value = Number(view.getBigUint64(at + 8, true));
    if (tag === dynamicTags.needed) needed.push(value);
    else if (tag === dynamicTags.stringTable) strings = fileOffset(all, value);
  }
  return {
    ...(interpreter ? { interpreter: cString(file, interpreter.offset) } : {}),
    libraries: needed.map((offset) => cString(file, strings + offset)),
  };
}

/**
 * The file without symbols and debug data: cut behind the last byte that is loaded, with no section table.
 * A loader reads program headers only. Files whose data is all loaded come back as they are.
 */
export function stripElf(file: Uint8Array): Uint8Array {
  const end = Math.max(...segments(file).map(({ offset, size }) => offset + size));
  if (end >= file.length) return file;
  const stripped = new Uint8Array(file.subarray(0, end));
  const view = viewOf(stripped);
  view.setBigUint64(40, 0n, true);
  view.setUint16(60, 0, true);
  view.setUint16(62, 0, true);
  return stripped;
}

function fileOffset(all: Segment[], address: number): number {
  const segment = all.find(
    (candidate) =>
      candidate.type === programTypes.load &&
      address >= candidate.address &&
      address < candidate.address + candidate.size,
  );
  if (!segment)
    throw new Error(
      'Cannot read an ELF file: its string table is not loaded, check that it is a whole program',
    );
  return address - segment.address + segment.offset;
}

function viewOf(file: Uint8Array): DataView {
  return new DataView(file.buffer, file.byteOffset, file.byteLength);
}

function cString(bytes: Uint8Array, offset: number): string {
  return Buffer.from(bytes.subarray(offset, bytes.indexOf(0, offset))).toString('utf8');
}
