import { HcsError } from '@hcsshim/hcs';
import { blockNode, type DiskSlot, diskDevice, diskDeviceId, diskNodeName } from './command-line.ts';
import { type QmpClient, QmpError } from './qmp.ts';

/** In milliseconds. The guest must let go of the disk; measured: 20 to 120. */
const removalTimeout = 60_000;

/** Gives a VM one more disk. Throws with QEMU's words; then the VM is as before. */
export async function attachDisk(
  qmp: QmpClient,
  slot: DiskSlot,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { controller, lun, image } = slot;
  const nodeName = diskNodeName(controller, lun);
  const action = `Cannot attach "${image.path}" to LUN ${lun} of SCSI controller ${controller}`;
  await explained(action, () => qmp.execute('blockdev-add', blockNode(slot), { signal }));
  try {
    await explained(action, () => qmp.execute('device_add', diskDevice(slot), { signal }));
  } catch (error) {
    // Best effort: a QEMU that is gone has no nodes either.
    await qmp.execute('blockdev-del', { 'node-name': nodeName }).catch(() => {});
    throw error;
  }
}

/** Takes a disk away; resolves when the guest has let go of it and its file is closed. */
export async function detachDisk(
  qmp: QmpClient,
  controller: number,
  lun: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  const id = diskDeviceId(controller, lun);
  const action = `Cannot detach LUN ${lun} of SCSI controller ${controller}`;
  await explained(action, () =>
    qmp.executeUntil(
      'device_del',
      { id },
      ({ event, data }) => event === 'DEVICE_DELETED' && data.device === id,
      {
        signal,
        timeout: removalTimeout,
      },
    ),
  );
  await explained(action, () =>
    qmp.execute('blockdev-del', { 'node-name': diskNodeName(controller, lun) }, { signal }),
  );
}

async function explained<T>(action: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof QmpError)) throw error;
    throw new HcsError({
      action,
      problem: error.description,
      code: codeOf(error),
      cause: error,
    });
  }
}

function codeOf({ errorClass, description }: QmpError): 'ERROR_NOT_FOUND' | 'E_ACCESSDENIED' | 'E_FAIL' {
  if (errorClass === 'DeviceNotFound' || /not found/.test(description)) return 'ERROR_NOT_FOUND';
  if (/lock|Permission denied/.test(description)) return 'E_ACCESSDENIED';
  return 'E_FAIL';
}
