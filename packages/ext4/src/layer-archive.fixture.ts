import type { FileTime } from './layout.ts';

/*
 * An archive as image layers are, some thousand members, and what each must become. It is put together without the
 * package's own encoder, in the three forms that archivers write, in turn: ustar, GNU and PAX.
 */

/** A file that must be there. Members that are hard links to each other share one of these. */
export interface LayerFile {
  type: 'file' | 'directory' | 'symlink' | 'character' | 'block' | 'fifo';
  mode: number;
  uid: number;
  gid: number;
  modified: FileTime;
  accessed: FileTime;
  changed: FileTime;
  links: number;
  content: Uint8Array;
  target: string;
  major: number;
  minor: number;
  xattrs: Map<string, Uint8Array>;
}

export interface LayerArchive {
  bytes: Buffer;
  /** By path; names are byte strings. */
  files: Map<string, LayerFile>;
}

type Form = 'ustar' | 'gnu' | 'pax';
type SparseForm = 'old' | '0.1' | '1.0';

interface Header {
  name: string;
  type: string;
  size: number;
  form: Form;
  mode?: number;
  uid?: number;
  gid?: number;
  modified?: FileTime;
  target?: string;
  major?: number;
  minor?: number;
  /** Of GNU's old sparse files: what is in place of the prefix. */
  tail?: Buffer;
}

const block = 512;
const padding = (size: number): Buffer => Buffer.alloc((block - (size % block)) % block);

function header(fields: Header): Buffer {
  const {
    name,
    type,
    size,
    form,
    mode = 0,
    uid = 0,
    gid = 0,
    target = '',
    major = 0,
    minor = 0,
    tail,
  } = fields;
  const bytes = Buffer.alloc(block);
  const cut = form === 'ustar' && name.length > 100 ? name.lastIndexOf('/', 155) : -1;
  bytes.write(name.slice(cut + 1, cut + 101), 0, 'latin1');
  if (cut > 0) bytes.write(name.slice(0, cut), 345, 'latin1');
  bytes.write(target.slice(0, 100), 157, 'latin1');
  const numbers: [number, number, number][] = [
    [100, 8, mode],
    [108, 8, uid],
    [116, 8, gid],
    [124, 12, size],
    [136, 12, fields.modified?.seconds ?? 0],
    [329, 8, major],
    [337, 8, minor],
  ];
  for (const [at, width, value] of numbers) {
    if (value >= 0 && value < 8 ** (width - 1)) bytes.write(value.toString(8).padStart(width - 1, '0'), at);
    else if (form === 'gnu') writeBinary(bytes, at, width, value);
  }
  bytes.write(type, 156);
  bytes.write(form === 'gnu' ? 'ustar  \0' : 'ustar\x0000', 257, 'latin1');
  tail?.copy(bytes, 345);
  bytes.fill(' ', 148, 156);
  const sum = bytes.reduce((total, byte) => total + byte, 0);
  bytes.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return bytes;
}

/** GNU's form of numbers that are negative or too large: two's complement, with the top bit set. */
function writeBinary(bytes: Buffer, at: number, width: number, value: number): void {
  let rest = BigInt.asUintN(width * 8, BigInt(value));
  for (let index = at + width - 1; index >= at; index--, rest >>= 8n) bytes[index] = Number(rest & 0xffn);
  bytes[at]! |= 0x80;
}

function paxRecord(records: readonly (readonly [string, string | Uint8Array])[]): Buffer {
  const lines = records.map(([key, value]) => {
    const rest = Buffer.concat([
      Buffer.from(` ${key}=`, 'latin1'),
      Buffer.from(value as string, 'latin1'),
      Buffer.from('\n'),
    ]);
    let length = rest.length;
    while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
    return Buffer.concat([Buffer.from(String(length)), rest]);
  });
  return Buffer.concat(lines);
}

function record(type: string, content: Buffer, form: Form): Buffer {
  const name = type === 'x' ? 'PaxHeaders/x' : '././@LongLink';
  return Buffer.concat([
    header({ name, type, size: content.length, form }),
    content,
    padding(content.length),
  ]);
}

function decimalTime({ seconds, nanoseconds }: FileTime): string {
  const all = BigInt(seconds) * 1_000_000_000n + BigInt(nanoseconds);
  const digits = String(all < 0n ? -all : all).padStart(10, '0');
  return `${all < 0n ? '-' : ''}${digits.slice(0, -9)}.${digits.slice(-9)}`;
}

class ArchiveBuilder {
  readonly #parts: Buffer[] = [];
  readonly files = new Map<string, LayerFile>();

  add(
    path: string,
    form: Form,
    given: Partial<LayerFile> & { type: LayerFile['type'] },
    sparse?: SparseForm,
  ): void {
    const modified = given.modified ?? { seconds: 1_700_000_000, nanoseconds: 0 };
    const file: LayerFile = {
      mode: given.type === 'directory' ? 0o755 : 0o644,
      uid: 0,
      gid: 0,
      modified,
      accessed: modified,
      changed: modified,
      links: given.type === 'directory' ? 2 : 1,
      content: new Uint8Array(),
      target: '',
      major: 0,
      minor: 0,
      xattrs: new Map(),
      ...given,
    };
    this.files.set(path, file);
    const parent = this.files.get(path.slice(0, Math.max(0, path.lastIndexOf('/'))));
    if (file.type === 'directory' && parent) parent.links++;
    const typeFlag = { file: '0', directory: '5', symlink: '2', character: '3', block: '4', fifo: '6' }[
      file.type
    ];
    const name = file.type === 'directory' ? `${path}/` : path;
    this.#member(name, form, { ...file, typeFlag, content: Buffer.from(file.content) }, sparse);
  }

  /** A further name of a file. As archivers write it, it comes after the file. */
  link(path: string, form: Form, target: string): void {
    const file = this.files.get(target)!;
    file.links++;
    this.files.set(path, file);
    this.#member(path, form, { ...file, typeFlag: '1', target, content: Buffer.alloc(0), xattrs: new Map() });
  }

  end(): Buffer {
    return Buffer.concat([...this.#parts, Buffer.alloc(2 * block)]);
  }

  #member(
    path: string,
    form: Form,
    member: Omit<LayerFile, 'content' | 'type'> & { typeFlag: string; content: Buffer },
    sparse?: SparseForm,
  ): void {
    const { modified, accessed, changed, target, uid, gid, mode, major, minor } = member;
    const same = { uid, gid, mode, major, minor, modified, target, form };
    const records: [string, string | Uint8Array][] = [];
    let { content, typeFlag: type } = member;
    let name = path;
    let tail: Buffer | undefined;
    const extension: Buffer[] = [];
    if (sparse) {
      const parts = partsOf(content);
      const map = parts.flatMap(({ start, end }) => [start, end - start]);
      const size = content.length;
      content = Buffer.concat(parts.map(({ start, end }) => content.subarray(start, end)));
      if (sparse === 'old') {
        type = 'S';
        ({ tail, extension: extension[0] } = oldMap(map, size) as { tail: Buffer; extension: Buffer });
      } else if (sparse === '0.1') {
        records.push(['GNU.sparse.size', String(size)], ['GNU.sparse.numblocks', String(parts.length)]);
        records.push(['GNU.sparse.name', path], ['GNU.sparse.map', map.join(',')]);
      } else {
        const list = Buffer.from(`${[parts.length, ...map].join('\n')}\n`);
        content = Buffer.concat([list, padding(list.length), content]);
        records.push(['GNU.sparse.major', '1'], ['GNU.sparse.minor', '0']);
        records.push(['GNU.sparse.name', path], ['GNU.sparse.realsize', String(size)]);
      }
      if (sparse !== 'old') name = 'GNUSparseFile.0/name';
    }
    if (form === 'pax') {
      if (name.length > 100) records.push(['path', path]);
      if (target.length > 100) records.push(['linkpath', target]);
      records.push(['uid', String(uid)], ['gid', String(gid)], ['mtime', decimalTime(modified)]);
      if (accessed !== modified) records.push(['atime', decimalTime(accessed)]);
      if (changed !== modified) records.push(['ctime', decimalTime(changed)]);
      for (const [key, value] of member.xattrs) records.push([`SCHILY.xattr.${key}`, value]);
    }
    if (records.length > 0) this.#parts.push(record('x', paxRecord(records), form));
    const long = (text: string): Buffer => Buffer.from(`${text}\0`, 'latin1');
    if (form === 'gnu' && name.length > 100) this.#parts.push(record('L', long(name), form));
    if (form === 'gnu' && target.length > 100) this.#parts.push(record('K', long(target), form));
    const { length: size } = content;
    this.#parts.push(header({ ...same, name, type, size, ...(tail ? { tail } : {}) }), ...extension);
    this.#parts.push(content, padding(size));
  }
}

/** What of a content is not zero, in whole blocks of 512. */
function partsOf(content: Buffer): { start: number; end: number }[] {
  const parts: { start: number; end: number }[] = [];
  for (let start = 0; start < content.length; start += block) {
    const end = Math.min(start + block, content.length);
    if (content.subarray(start, end).every((byte) => byte === 0)) continue;
    const last = parts.at(-1);
    if (last?.end === start) last.end = end;
    else parts.push({ start, end });
  }
  // A hole at the end has a part of no bytes behind it.
  if (parts.at(-1)?.end !== content.length) parts.push({ start: content.length, end: content.length });
  return parts;
}

/** Four pairs in the header, and 21 in each block after it. */
function oldMap(map: readonly number[], size: number): { tail: Buffer; extension: Buffer } {
  const text = map.map((value) => `${value.toString(8).padStart(11, '0')}\0`);
  const tail = Buffer.alloc(155);
  tail.write(text.slice(0, 8).join(''), 386 - 345, 'latin1');
  tail[482 - 345] = text.length > 8 ? 1 : 0;
  tail.write(size.toString(8).padStart(11, '0'), 483 - 345, 'latin1');
  const blocks: Buffer[] = [];
  for (let at = 8; at < text.length; at += 42) {
    const bytes = Buffer.alloc(block);
    bytes.write(text.slice(at, at + 42).join(''), 0, 'latin1');
    bytes[504] = at + 42 < text.length ? 1 : 0;
    blocks.push(bytes);
  }
  return { tail, extension: Buffer.concat(blocks) };
}

/** Whole numbers below a limit, the same on each run. */
function randomNumbers(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

const forms: readonly Form[] = ['ustar', 'gnu', 'pax'];

/** About 3000 members, 12 MiB. With `whiteouts`, those of image layers are among them. */
export function layerArchive({ whiteouts = false }: { whiteouts?: boolean } = {}): LayerArchive {
  const random = randomNumbers(20_261_127);
  const builder = new ArchiveBuilder();
  const formOf = (index: number): Form => forms[index % forms.length]!;
  builder.files.set('', rootFile());
  for (let folder = 0; folder < 50; folder++) {
    const path = folder < 40 ? `dir${folder}` : `dir${folder - 40}/sub${folder}`;
    builder.add(path, formOf(folder), { type: 'directory', mode: [0o755, 0o1777, 0o2750][folder % 3]! });
    for (let index = 0; index < 45; index++) {
      const content = Buffer.alloc(index % 9 === 0 ? random(40_000) : random(3000), `${folder}.${index} `);
      const mode = index % 5 === 0 ? 0o4755 : 0o600 + random(0o177);
      builder.add(`${path}/file${index}`, formOf(index), {
        type: 'file',
        content,
        mode,
        uid: random(1000),
        gid: random(1000),
      });
    }
    builder.add(`${path}/link`, formOf(folder), {
      type: 'symlink',
      mode: 0o777,
      target: `../dir${random(40)}/file3`,
    });
    builder.link(`${path}/next-to-it`, formOf(folder), `${path}/file3`);
    if (whiteouts) builder.add(`${path}/.wh.gone${folder}`, 'ustar', { type: 'file', mode: 0o600 });
    if (whiteouts && folder % 7 === 0) builder.add(`${path}/.wh..wh..opq`, 'ustar', { type: 'file' });
  }
  // All that has links at the end, far from its first name; and a link to a symlink.
  for (let folder = 0; folder < 40; folder++) {
    builder.link(`far${folder}`, formOf(folder), `dir${folder}/file7`);
    builder.link(`far-symlink${folder}`, formOf(folder), `dir${folder}/link`);
  }
  addNames(builder);
  addAttributes(builder, random);
  addNumbers(builder);
  addSparse(builder);
  return { bytes: builder.end(), files: builder.files };
}

function rootFile(): LayerFile {
  const epoch = { seconds: 0, nanoseconds: 0 };
  return {
    ...{ type: 'directory', mode: 0o755, uid: 0, gid: 0, links: 3, content: new Uint8Array(), target: '' },
    ...{ modified: epoch, accessed: epoch, changed: epoch, major: 0, minor: 0, xattrs: new Map() },
  } as LayerFile;
}

function addNames(builder: ArchiveBuilder): void {
  builder.add('names', 'ustar', { type: 'directory' });
  builder.add('names/with a quote" and \\ and\ttab', 'gnu', { type: 'file' });
  builder.add('names/umlaut-\xc3\xa4', 'pax', { type: 'file' });
  builder.add('names/no-utf8-\xff\x80', 'gnu', { type: 'file' });
  for (const [index, length] of [80, 93, 94, 99, 100, 101, 150, 200, 255].entries()) {
    const form = index % 2 === 0 ? 'gnu' : 'pax';
    const directory = `names/${'d'.repeat(length)}`;
    const path = `${directory}/${'f'.repeat(Math.min(length, 100))}`;
    builder.add(directory, form, { type: 'directory' });
    // A header of ustar has 155 bytes before the last name.
    builder.add(path, directory.length <= 155 ? 'ustar' : form, { type: 'file', content: Buffer.from(path) });
    builder.add(`${directory}/link`, form, { type: 'symlink', mode: 0o777, target: 't'.repeat(length) });
    builder.link(`names/hard${length}`, form, path);
  }
}

function addAttributes(builder: ArchiveBuilder, random: (below: number) => number): void {
  builder.add('attributes', 'ustar', { type: 'directory' });
  const capability = Buffer.from('0100000200200000000000000000000000000000', 'hex');
  for (let index = 0; index < 150; index++) {
    const xattrs = new Map<string, Uint8Array>([
      [`user.n${index}`, Buffer.from(`value = ${index}\nsecond line\0`)],
      ['trusted.t', new Uint8Array(random(60)).fill(index)],
    ]);
    if (index % 3 === 0) xattrs.set('security.capability', capability);
    if (index % 4 === 0) xattrs.set(`user.${'long'.repeat(20)}`, new Uint8Array(random(2500)).fill(0xa5));
    if (index % 5 === 0) xattrs.set('user.empty', new Uint8Array());
    builder.add(`attributes/${index}`, 'pax', { type: 'file', xattrs, content: Buffer.from(String(index)) });
  }
  const xattrs = new Map<string, Uint8Array>([['trusted.of', Buffer.from('it')]]);
  builder.add('attributes/directory', 'pax', { type: 'directory', xattrs });
  builder.add('attributes/symlink', 'pax', { type: 'symlink', mode: 0o777, target: 'nowhere', xattrs });
  builder.add('attributes/fifo', 'pax', { type: 'fifo', xattrs });
}

function addNumbers(builder: ArchiveBuilder): void {
  builder.add('numbers', 'ustar', { type: 'directory' });
  for (const form of ['gnu', 'pax'] as const) {
    const at = (name: string): string => `numbers/${form}-${name}`;
    builder.add(at('owner'), form, { type: 'file', uid: 3_000_000_000, gid: 4_294_967_294 });
    for (const seconds of [-2_147_483_648, -1_000_000_000, -1, 0, 2 ** 31, 2 ** 33]) {
      builder.add(at(`time${seconds}`), form, { type: 'file', modified: { seconds, nanoseconds: 0 } });
    }
  }
  for (const seconds of [-2, -1, 0, 1_700_000_000, 5_000_000_000]) {
    const time = (nanoseconds: number): FileTime => ({ seconds, nanoseconds });
    const times = { modified: time(123_456_789), accessed: time(1), changed: time(999_999_999) };
    builder.add(`numbers/parts${seconds}`, 'pax', { type: 'fifo', ...times });
  }
  for (const [index, [major, minor]] of [
    [1, 3],
    [0, 0],
    [255, 255],
    [256, 0],
    [4095, 1_048_575],
  ].entries()) {
    const type = index % 2 === 0 ? 'character' : 'block';
    builder.add(`numbers/device${index}`, forms[index % 3]!, {
      type,
      major: major!,
      minor: minor!,
      mode: 0o666,
    });
  }
  for (const form of forms) builder.add(`numbers/${form}-fifo`, form, { type: 'fifo', mode: 0o600 });
}

function addSparse(builder: ArchiveBuilder): void {
  builder.add('sparse', 'ustar', { type: 'directory' });
  for (const form of ['old', '0.1', '1.0'] as const) {
    for (const [name, size, parts] of [
      ['begin', 300_000, [0]],
      ['end', 300_000, [299_500]],
      ['all', 300_000, []],
      ['odd', 300_001, [512, 5120, 300_000]],
      ['many', 600_000, Array.from({ length: 60 }, (_, index) => index * 9728)],
    ] as const) {
      const content = Buffer.alloc(size);
      for (const at of parts) content.fill(`${at}.`, at, Math.min(at + 512, size));
      builder.add(`sparse/${form}-${name}`, form === 'old' ? 'gnu' : 'pax', { type: 'file', content }, form);
    }
  }
}
