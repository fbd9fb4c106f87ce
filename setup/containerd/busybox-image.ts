import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';

export const busyboxImageName = 'docker.io/library/busybox:hcsshim';

/** Programs that the image's shell and tests use; busybox itself has more, `busybox <name>` reaches them. */
const applets = [
  'cat',
  'chmod',
  'cp',
  'dd',
  'echo',
  'env',
  'false',
  'head',
  'hostname',
  'id',
  'kill',
  'ls',
  'mkdir',
  'mount',
  'ps',
  'pwd',
  'rm',
  'seq',
  'sh',
  'sha256sum',
  'sleep',
  'stat',
  'stty',
  'tail',
  'test',
  'touch',
  'tr',
  'true',
  'tty',
  'uname',
  'wc',
  'yes',
];

/**
 * A docker-archive tar of an image with Debian's static busybox in it, built offline. Same busybox, same bytes.
 */
export async function buildBusyboxImage(busybox = '/bin/busybox'): Promise<Uint8Array> {
  const program = await readFile(busybox);
  const layer = tar([
    { name: 'bin/', mode: 0o755 },
    { name: 'bin/busybox', mode: 0o755, content: program },
    ...applets.map((name) => ({ name: `bin/${name}`, mode: 0o777, link: 'busybox' })),
    { name: 'dev/', mode: 0o755 },
    { name: 'etc/', mode: 0o755 },
    {
      name: 'etc/passwd',
      mode: 0o644,
      content: Buffer.from('root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n'),
    },
    { name: 'etc/group', mode: 0o644, content: Buffer.from('root:x:0:\nnogroup:x:65534:\n') },
    { name: 'proc/', mode: 0o755 },
    { name: 'root/', mode: 0o700 },
    { name: 'run/', mode: 0o755 },
    { name: 'sys/', mode: 0o755 },
    { name: 'tmp/', mode: 0o1777 },
  ]);
  const config = Buffer.from(
    JSON.stringify({
      architecture: 'amd64',
      os: 'linux',
      created: '1970-01-01T00:00:00Z',
      config: { Env: ['PATH=/bin'], Cmd: ['sh'], WorkingDir: '/' },
      rootfs: { type: 'layers', diff_ids: [`sha256:${sha256(layer)}`] },
      history: [{ created: '1970-01-01T00:00:00Z', created_by: 'busybox-static' }],
    }),
  );
  const configName = `${sha256(config)}.json`;
  const manifest = [
    {
      Config: configName,
      RepoTags: [busyboxImageName.replace('docker.io/library/', '')],
      Layers: ['layer.tar'],
    },
  ];
  return tar([
    { name: configName, mode: 0o644, content: config },
    { name: 'layer.tar', mode: 0o644, content: layer },
    { name: 'manifest.json', mode: 0o644, content: Buffer.from(JSON.stringify(manifest)) },
  ]);
}

interface TarMember {
  /** A trailing slash makes it a directory. */
  name: string;
  mode: number;
  content?: Uint8Array;
  /** Target of a symbolic link. */
  link?: string;
}

const block = 512;

function tar(members: readonly TarMember[]): Uint8Array {
  const parts: Uint8Array[] = [];
  for (const member of members) {
    const content = member.content ?? new Uint8Array();
    parts.push(
      tarHeader(member, content.length),
      content,
      new Uint8Array((block - (content.length % block)) % block),
    );
  }
  return Buffer.concat([...parts, new Uint8Array(2 * block)]);
}

/** A ustar header with owner root and time 0. */
function tarHeader({ name, mode, link }: TarMember, size: number): Uint8Array {
  const header = Buffer.alloc(block);
  const octal = (value: number, length: number): string => `${value.toString(8).padStart(length - 1, '0')}\0`;
  header.write(name, 0);
  header.write(octal(mode, 8), 100);
  header.write(octal(0, 8), 108);
  header.write(octal(0, 8), 116);
  header.write(octal(size, 12), 124);
  header.write(octal(0, 12), 136);
  header.write(' '.repeat(8), 148);
  header.write(name.endsWith('/') ? '5' : link === undefined ? '0' : '2', 156);
  header.write(link ?? '', 157);
  header.write('ustar\x0000', 257);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return header;
}

function sha256(data: Uint8Array): string {
  return createHash('sha256').update(data).digest('hex');
}
