import { decompress } from './decompress.ts';
import { isElf } from './elf.ts';

/*
 * bzImage, as the kernel's Documentation/arch/x86/boot.rst has it:
 *
 *     0x1f1 setup_sects (0 means 4)   0x202 "HdrS"   0x248 payload_offset   0x24c payload_length
 *     the payload begins payload_offset bytes behind the (setup_sects + 1) * 512 bytes of real-mode code
 *
 * The payload is the compressed vmlinux followed by its size, 4 bytes, except in gzip, whose own trailer is
 * that size.
 */

/** The uncompressed ELF kernel in a bzImage. QEMU starts it through its PVH note, with nothing left to unpack. */
export async function extractVmlinux(
  bzImage: Uint8Array,
  name: string,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  const action = `Cannot extract the kernel from "${name}"`;
  const view = new DataView(bzImage.buffer, bzImage.byteOffset, bzImage.byteLength);
  if (bzImage.length < 0x250 || Buffer.from(bzImage.subarray(0x202, 0x206)).toString('latin1') !== 'HdrS') {
    throw new Error(`${action}: it is not a bzImage, give an x86 kernel`);
  }
  const start = ((bzImage[0x1f1] || 4) + 1) * 512 + view.getUint32(0x248, true);
  const length = view.getUint32(0x24c, true);
  if (start + length > bzImage.length) throw new Error(`${action}: the file is cut short, download it again`);
  const isGzip = bzImage[start] === 0x1f && bzImage[start + 1] === 0x8b;
  const payload = bzImage.subarray(start, start + length - (isGzip ? 0 : 4));
  const kernel = await decompress(payload, action, signal);
  const size = view.getUint32(start + length - 4, true);
  if (!isElf(kernel) || kernel.length !== size) {
    throw new Error(`${action}: the payload is no ELF file of ${size} bytes, download it again`);
  }
  return kernel;
}
