import {
  type GuestModification,
  type GuestRequestType,
  type GuestResourceType,
  HcsError,
} from '@hcsshim/schema';
import { combineLayers, separateLayers } from '../storage/combined-layers.ts';
import { mountVirtualDisk, unmountVirtualDisk } from '../storage/mapped-virtual-disk.ts';
import type { ScsiBus } from '../storage/scsi-bus.ts';

type Settings<R extends GuestResourceType> = Extract<GuestModification, { ResourceType: R }>['Settings'];

type Modifiers = {
  readonly [R in GuestResourceType]?: {
    readonly [T in GuestRequestType]?: (settings: Settings<R>) => Promise<void>;
  };
};

/** What ModifySettings can change in the VM, by resource and request. */
export function vmModifiers(scsi: ScsiBus): Modifiers {
  return {
    MappedVirtualDisk: {
      Add: (disk) => mountVirtualDisk(scsi, disk),
      Remove: (disk) => unmountVirtualDisk(disk),
    },
    SCSIDevice: {
      Remove: ({ Controller: controller = 0, Lun: lun = 0 }) => scsi.remove({ controller, lun }),
    },
    CombinedLayers: { Add: combineLayers, Remove: separateLayers },
  };
}

/** Throws ERROR_NOT_SUPPORTED for what the table does not have. */
export async function applyModification(
  modifiers: Modifiers,
  { ResourceType, RequestType, Settings }: GuestModification,
): Promise<void> {
  const modify = modifiers[ResourceType]?.[RequestType] as ((settings: unknown) => Promise<void>) | undefined;
  if (!modify) {
    throw new HcsError({
      action: `Cannot ${RequestType.toLowerCase()} a resource of type ${ResourceType}`,
      problem: 'this agent does not support it',
      code: 'ERROR_NOT_SUPPORTED',
    });
  }
  await modify(Settings);
}
