import type { GuestConnection } from '@hcsshim/bridge';
import { type CallOptions, type ComputeSystem, HcsError } from '@hcsshim/hcs';

export interface ScsiDiskRequest {
  /** A fixed VHD on the host. */
  path: string;
  readOnly: boolean;
  /** Where the guest mounts it. @default /run/mounts/scsi/m<n> */
  guestPath?: string;
}

/** A disk of the VM, attached on the host and mounted in the guest. Disposing takes both back. */
export interface ScsiDisk extends AsyncDisposable {
  readonly controller: number;
  readonly lun: number;
  readonly guestPath: string;
}

interface Slot {
  controller: number;
  lun: number;
}

interface Attachment extends Slot {
  key: string;
  guestPath: string;
  users: number;
  mounted: Promise<void>;
}

const lunsPerController = 64;

/**
 * The disks on a VM's SCSI controllers. A read-only disk that is asked for twice is attached and mounted once
 * and counted; a writable one has one user.
 */
export class ScsiDisks {
  readonly #system: ComputeSystem;
  readonly #guest: GuestConnection;
  readonly #slots: (Attachment | 'reserved' | undefined)[];
  readonly #byKey = new Map<string, Attachment>();
  #mountCount = 0;

  constructor(system: ComputeSystem, guest: GuestConnection, controllers: number, reserved: readonly Slot[]) {
    this.#system = system;
    this.#guest = guest;
    this.#slots = Array.from({ length: controllers * lunsPerController });
    for (const { controller, lun } of reserved)
      this.#slots[controller * lunsPerController + lun] = 'reserved';
  }

  /** Attaches a disk and mounts it in the guest. Throws HCS_E_INVALID_STATE when no slot is free. */
  async mount(request: ScsiDiskRequest, options: CallOptions = {}): Promise<ScsiDisk> {
    const key = `${request.readOnly ? 'ro' : 'rw'} ${request.guestPath ?? ''} ${request.path}`;
    const shared = this.#byKey.get(key);
    if (shared && !request.readOnly) {
      throw new HcsError({
        action: `Cannot mount disk "${request.path}" in VM "${this.#system.id}"`,
        problem: 'it is mounted writable already, a writable disk has one user',
        code: 'HCS_E_INVALID_STATE',
      });
    }
    if (shared) {
      shared.users++;
      await shared.mounted;
      return this.#handle(shared);
    }
    const attachment: Attachment = {
      ...this.#takeSlot(request.path),
      key,
      guestPath: request.guestPath ?? `/run/mounts/scsi/m${this.#mountCount++}`,
      users: 1,
      mounted: Promise.resolve(),
    };
    this.#slots[slotIndex(attachment)] = attachment;
    this.#byKey.set(key, attachment);
    attachment.mounted = this.#attach(attachment, request, options);
    await attachment.mounted;
    return this.#handle(attachment);
  }

  async #attach(attachment: Attachment, request: ScsiDiskRequest, options: CallOptions): Promise<void> {
    const { controller, lun } = attachment;
    try {
      await this.#system.modify(
        {
          ResourcePath: resourcePath(attachment),
          RequestType: 'Add',
          Settings: { Type: 'VirtualDisk', Path: request.path, ReadOnly: request.readOnly },
        },
        options,
      );
      try {
        await this.#guest.modifySettings({
          RequestType: 'Add',
          ResourceType: 'MappedVirtualDisk',
          Settings: {
            MountPath: attachment.guestPath,
            Controller: controller,
            Lun: lun,
            ReadOnly: request.readOnly,
            Filesystem: 'ext4',
          },
        });
      } catch (error) {
        await this.#system
          .modify({ ResourcePath: resourcePath(attachment), RequestType: 'Remove' })
          .catch(() => {});
        throw error;
      }
    } catch (error) {
      this.#free(attachment);
      throw error;
    }
  }

  #handle(attachment: Attachment): ScsiDisk {
    let released = false;
    return {
      controller: attachment.controller,
      lun: attachment.lun,
      guestPath: attachment.guestPath,
      [Symbol.asyncDispose]: async () => {
        if (released) return;
        released = true;
        if (--attachment.users === 0) await this.#detach(attachment);
      },
    };
  }

  async #detach(attachment: Attachment): Promise<void> {
    const { controller, lun } = attachment;
    // A request for the same disk that arrives now gets a slot of its own.
    this.#byKey.delete(attachment.key);
    await this.#guest.modifySettings({
      RequestType: 'Remove',
      ResourceType: 'MappedVirtualDisk',
      Settings: { MountPath: attachment.guestPath, Controller: controller, Lun: lun },
    });
    await this.#guest.modifySettings({
      RequestType: 'Remove',
      ResourceType: 'SCSIDevice',
      Settings: { Controller: controller, Lun: lun },
    });
    await this.#system.modify({ ResourcePath: resourcePath(attachment), RequestType: 'Remove' });
    this.#free(attachment);
  }

  #takeSlot(path: string): Slot {
    const index = this.#slots.indexOf(undefined);
    if (index === -1) {
      throw new HcsError({
        action: `Cannot attach disk "${path}" to VM "${this.#system.id}"`,
        problem: `all ${this.#slots.length} SCSI slots are taken`,
        code: 'HCS_E_INVALID_STATE',
      });
    }
    return { controller: Math.floor(index / lunsPerController), lun: index % lunsPerController };
  }

  #free(attachment: Attachment): void {
    this.#slots[slotIndex(attachment)] = undefined;
    if (this.#byKey.get(attachment.key) === attachment) this.#byKey.delete(attachment.key);
  }
}

function slotIndex({ controller, lun }: Slot): number {
  return controller * lunsPerController + lun;
}

function resourcePath({ controller, lun }: Slot): string {
  return `VirtualMachine/Devices/Scsi/${controller}/Attachments/${lun}`;
}
