import { bind, type Handle, kernel32 } from '@hcsshim/windows';
import { absolutePath } from './layer-call.ts';
import { openNative } from './native-file.ts';

const genericReadWrite = 0xc0000000;
/** Length of the partition below a volume, in bytes (winioctl.h). */
const ioctlDiskGetLengthInfo = 0x0007405c;
/** Makes a volume's file system larger, to a number of sectors (winioctl.h). */
const fsctlExtendVolume = 0x000900f0;
const sectorSize = 512n;
const clusterSize = 4096n;

/** Makes the NTFS of a volume as large as its partition, where it is not. @param path `\\?\Volume{…}`, with or without `\`. */
export async function extendVolume(path: string): Promise<void> {
  const root = absolutePath(path.endsWith('\\') ? path : `${path}\\`, 'volume');
  // Without its last separator this names the volume itself, not the root directory on it.
  await using volume = await openNative(root.slice(0, -1), genericReadWrite);
  const partition = await volume.use(partitionLength);
  const { totalBytes } = await bind(kernel32).GetDiskFreeSpaceExW({ directoryName: root });
  const wanted = sectorsWanted(partition, totalBytes);
  if (wanted === undefined) return;
  const sectors = Buffer.alloc(8);
  sectors.writeBigInt64LE(wanted);
  await volume.use((device) => control(device, fsctlExtendVolume, sectors, null));
}

/** Sectors that a file system should have to fill its partition, undefined where it does. Both sizes are in bytes. */
export function sectorsWanted(partition: bigint, fileSystem: bigint): bigint | undefined {
  // NTFS keeps one cluster for itself.
  if (fileSystem / clusterSize + 1n >= partition / clusterSize) return undefined;
  return (partition / clusterSize) * (clusterSize / sectorSize);
}

async function partitionLength(device: Handle<'HANDLE'>): Promise<bigint> {
  const length = Buffer.alloc(8);
  await control(device, ioctlDiskGetLengthInfo, null, length);
  return length.readBigInt64LE();
}

async function control(
  device: Handle<'HANDLE'>,
  controlCode: number,
  input: Buffer | null,
  output: Buffer | null,
): Promise<void> {
  await bind(kernel32).DeviceIoControl({
    device,
    controlCode,
    input,
    inputBytes: input?.length ?? 0,
    output,
    outputBytes: output?.length ?? 0,
    overlapped: null,
  });
}
