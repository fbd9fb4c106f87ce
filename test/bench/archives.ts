import { createCipheriv } from 'node:crypto';
import { closeSync, openSync, writeSync } from 'node:fs';
import { type NewTarEntry, TarEncoder } from '@hcsshim/ext4';

/** Writes an archive that always has the same bytes: its content is a key stream, its numbers count up. */
class ArchiveFile implements Disposable {
  readonly #fd: number;
  readonly #encoder = new TarEncoder();
  readonly #stream = createCipheriv('aes-128-ctr', Buffer.alloc(16), Buffer.alloc(16));
  #entries = 0;

  constructor(path: string) {
    this.#fd = openSync(path, 'w');
  }

  add(entry: Partial<NewTarEntry> & Pick<NewTarEntry, 'path' | 'type'>): void {
    const time = { seconds: 1_600_000_000 + this.#entries++, nanoseconds: 0 };
    const size = entry.size ?? 0;
    const header = this.#encoder.entry({
      mode: entry.type === 'directory' ? 0o755 : 0o644,
      uid: 0,
      gid: 0,
      size,
      modified: time,
      target: '',
      major: 0,
      minor: 0,
      xattrs: new Map(),
      ...entry,
    });
    writeSync(this.#fd, header);
    const zeros = Buffer.alloc(Math.min(size, 1 << 20));
    for (let left = size; left > 0; left -= zeros.length) {
      writeSync(this.#fd, this.#stream.update(zeros.subarray(0, Math.min(left, zeros.length))));
    }
  }

  [Symbol.dispose](): void {
    writeSync(this.#fd, this.#encoder.end());
    closeSync(this.#fd);
  }
}

/** 60,000 files of 0 to 8 KiB in 3,000 directories, with all that layers have beside files. 67,700 members, 300 MB. */
export function writeManySmall(path: string): void {
  using archive = new ArchiveFile(path);
  for (let directory = 0; directory < 3000; directory++) {
    const place = `usr/share/d${directory % 60}/d${directory}`;
    archive.add({ path: `${place}/`, type: 'directory' });
    for (let file = 0; file < 20; file++) {
      const number = directory * 20 + file;
      const long = number % 120 === 0 ? 'a-name-that-has-no-room-in-a-header-'.repeat(5) : '';
      const xattrs = new Map(number % 20 === 0 ? [['user.number', Buffer.from(`${number}`)]] : []);
      archive.add({ path: `${place}/${long}f${number}`, type: 'file', size: (number * 7919) % 8193, xattrs });
    }
    const first = `${place}/f${directory * 20 + 1}`;
    if (directory % 3 > 0) archive.add({ path: `${place}/soft`, type: 'symlink', target: '../d1/f21' });
    if (directory % 3 > 0) archive.add({ path: `${place}/hard`, type: 'hardlink', target: first });
    if (directory % 15 === 0) archive.add({ path: `${place}/node`, type: 'character', major: 1, minor: 3 });
    if (directory % 60 === 0) archive.add({ path: `${place}/pipe`, type: 'fifo' });
    if (directory % 6 === 0) archive.add({ path: `${place}/.wh.gone`, type: 'file' });
  }
}

/** 50,000 files in one directory, and 200 directories one in the other. 50,400 members, 52 MB. */
export function writeDeep(path: string): void {
  using archive = new ArchiveFile(path);
  archive.add({ path: 'flat/', type: 'directory' });
  for (let file = 0; file < 50_000; file++)
    archive.add({ path: `flat/file-${file}`, type: 'file', size: 10 });
  let place = '';
  for (let level = 0; level < 200; level++) {
    place += `${level % 10}/`;
    archive.add({ path: place, type: 'directory' });
    archive.add({ path: `${place}f`, type: 'file', size: level });
  }
}

/** 8 files of 256 MiB. */
export function writeFewLarge(path: string): void {
  using archive = new ArchiveFile(path);
  for (let file = 0; file < 8; file++) archive.add({ path: `large-${file}`, type: 'file', size: 256 << 20 });
}
