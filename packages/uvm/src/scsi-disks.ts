import type { GuestConnection } from '@hcsshim/bridge';
import { type CallOptions, type ComputeSystem, HcsError, untilAborted } from '@hcsshim/hcs';

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
  /** Aborts once nobody wants the disk any more that is being mounted. */
  unwanted: AbortController;
  /** What there is to take back, the next step first. */
  steps: (() => Promise<unknown>)[];
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
    const attachment = shared ?? this.#begin(key, request);
    attachment.users++;
    try {
      await untilAborted(attachment.mounted, options.signal);
    } catch (error) {
      // The mount's own error says more than what follows from it.
      await this.#release(attachment).catch(() => {});
      throw error;
    }
    return this.#handle(attachment);
  }

  #begin(key: string, request: ScsiDiskRequest): Attachment {
    const attachment: Attachment = {
      ...this.#takeSlot(request.path),
      key,
      guestPath: request.guestPath ?? `/run/mounts/scsi/m${this.#mountCount++}`,
      users: 0,
      mounted: Promise.resolve(),
      unwanted: new AbortController(),
      steps: [],
    };
    attachment.steps.push(async () => this.#free(attachment));
    this.#slots[slotIndex(attachment)] = attachment;
    this.#byKey.set(key, attachment);
    attachment.mounted = this.#attach(attachment, request);
    attachment.mounted.catch(() => this.#forget(attachment));
    return attachment;
  }

  async #attach(attachment: Attachment, request: ScsiDiskRequest): Promise<void> {
    const { controller, lun, unwanted, steps } = attachment;
    const place = { Controller: controller, Lun: lun };
    const resource = { ResourcePath: resourcePath(attachment) };
    await this.#system.modify(
      {
        ...resource,
        RequestType: 'Add',
        Settings: { Type: 'VirtualDisk', Path: request.path, ReadOnly: request.readOnly },
      },
      { signal: unwanted.signal },
    );
    steps.unshift(() => this.#system.modify({ ...resource, RequestType: 'Remove' }));
    unwanted.signal.throwIfAborted();
    const mount = { MountPath: attachment.guestPath, ...place };
    await this.#guest.modifySettings({
      RequestType: 'Add',
      ResourceType: 'MappedVirtualDisk',
      Settings: { ...mount, ReadOnly: request.readOnly, Filesystem: 'ext4' },
    });
    steps.unshift(
      () =>
        this.#guest.modifySettings({
          RequestType: 'Remove',
          ResourceType: 'MappedVirtualDisk',
          Settings: mount,
        }),
      () =>
        this.#guest.modifySettings({ RequestType: 'Remove', ResourceType: 'SCSIDevice', Settings: place }),
    );
  }

  #handle(attachment: Attachment): ScsiDisk {
    let releasing: Promise<void> | undefined;
    return {
      controller: attachment.controller,
      lun: attachment.lun,
      guestPath: attachment.guestPath,
      [Symbol.asyncDispose]: () => {
        releasing ??= this.#release(attachment).catch((error) => {
          // Still there, and so is its slot: who disposes of it again goes on where this has failed.
          releasing = undefined;
          attachment.users++;
          throw error;
        });
        return releasing;
      },
    };
  }

  /** One user less. The last one takes the disk off again. */
  async #release(attachment: Attachment): Promise<void> {
    if (--attachment.users > 0) return;
    this.#forget(attachment);
    attachment.unwanted.abort();
    // A mount that is under way comes to its end first: what it has done is then known.
    await attachment.mounted.catch(() => {});
    const { steps } = attachment;
    for (let step = steps[0]; step; step = steps[0]) {
      await step();
      steps.shift();
    }
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
  }

  /** A request for the same disk that arrives now gets a slot of its own. */
  #forget(attachment: Attachment): void {
    if (this.#byKey.get(attachment.key) === attachment) this.#byKey.delete(attachment.key);
  }
}

function slotIndex({ controller, lun }: Slot): number {
  return controller * lunsPerController + lun;
}

function resourcePath({ controller, lun }: Slot): string {
  return `VirtualMachine/Devices/Scsi/${controller}/Attachments/${lun}`;
}
