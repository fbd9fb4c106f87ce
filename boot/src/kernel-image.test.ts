import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { extractVmlinux } from './kernel-image.ts';

const kernel = Buffer.concat([Buffer.from([0x7f, 0x45, 0x4c, 0x46, 2, 1]), Buffer.alloc(5000, 'kernel')]);

/** A bzImage with 3 sectors of set-up code and the payload 32 bytes behind them. */
function bzImage(compressed: Buffer, size = kernel.length): Buffer {
  const isGzip = compressed[0] === 0x1f;
  const trailer = Buffer.alloc(isGzip ? 0 : 4);
  if (!isGzip) trailer.writeUInt32LE(size);
  const header = Buffer.alloc(4 * 512 + 32);
  header[0x1f1] = 3;
  header.write('HdrS', 0x202);
  header.writeUInt32LE(32, 0x248);
  header.writeUInt32LE(compressed.length + trailer.length, 0x24c);
  return Buffer.concat([header, compressed, trailer, Buffer.from('behind')]);
}

const compressors: Record<string, () => Buffer> = {
  gzip: () => gzipSync(kernel),
  zstd: () => zstdCompressSync(kernel),
  xz: () => execFileSync('xz', ['-c', '--check=crc32'], { input: kernel }),
  lz4: () => execFileSync('lz4', ['-lc'], { input: kernel, stdio: ['pipe', 'pipe', 'ignore'] }),
};

for (const [name, compress] of Object.entries(compressors)) {
  test(`the kernel comes out of a ${name} payload`, async (t) => {
    let payload: Buffer;
    try {
      payload = compress();
    } catch {
      t.skip(`no ${name} on this host`);
      return;
    }
    assert.deepEqual(Buffer.from(await extractVmlinux(bzImage(payload), 'vmlinuz')), kernel);
  });
}

test('what is no kernel, cut short, of another size or compressed in an unknown way is an error in words', async () => {
  const good = bzImage(zstdCompressSync(kernel));
  await assert.rejects(
    extractVmlinux(Buffer.alloc(4096), 'x'),
    /Cannot extract the kernel from "x": it is not a bzImage/,
  );
  await assert.rejects(extractVmlinux(good.subarray(0, good.length - 20), 'x'), /the file is cut short/);
  await assert.rejects(extractVmlinux(bzImage(zstdCompressSync(kernel), 77), 'x'), /no ELF file of 77 bytes/);
  await assert.rejects(extractVmlinux(bzImage(Buffer.from('BZh91AY&')), 'x'), /begins 425a68393141/);
});
