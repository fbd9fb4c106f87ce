import { HcsError } from '@hcsshim/hcs';
import type { ModifySettingRequest, ScsiAttachment } from '@hcsshim/schema';
import { scsiControllerNumber, scsiLun, validateScsiAttachment } from './document.ts';

/** A change to a running system, understood. */
export type Modification =
  | { type: 'attach disk'; controller: number; lun: number; disk: ScsiAttachment }
  | { type: 'detach disk'; controller: number; lun: number };

type RequestType = NonNullable<ModifySettingRequest['RequestType']>;

interface Resource {
  /** Its groups are what `parse` gets. */
  path: RegExp;
  requests: readonly RequestType[];
  parse(
    action: string,
    names: readonly string[],
    type: RequestType,
    settings: unknown,
  ): Promise<Modification | undefined>;
}

/** The resources that can be changed. A path that matches none is not supported. */
const resources: readonly Resource[] = [
  {
    path: /^VirtualMachine\/Devices\/Scsi\/([^/]+)\/Attachments\/([^/]+)$/,
    requests: ['Add', 'Remove'],
    async parse(action, [controllerName = '', lunName = ''], type, settings) {
      const controller = scsiControllerNumber(controllerName);
      const lun = scsiLun(lunName);
      if (controller === undefined || lun === undefined) return undefined;
      if (type === 'Remove') return { type: 'detach disk', controller, lun };
      return { type: 'attach disk', controller, lun, disk: await validateScsiAttachment(action, settings) };
    },
  },
];

/** Throws ERROR_NOT_SUPPORTED, HCS_E_INVALID_JSON, ERROR_FILE_NOT_FOUND. */
export async function parseModification(
  action: string,
  request: ModifySettingRequest,
): Promise<Modification> {
  const { ResourcePath: path, RequestType: type = 'Add', Settings: settings } = request;
  if (typeof path !== 'string') {
    throw new HcsError({ action, problem: 'ResourcePath: must be a string', code: 'HCS_E_INVALID_JSON' });
  }
  for (const resource of resources) {
    const names = resource.path.exec(path)?.slice(1);
    if (!names || !resource.requests.includes(type)) continue;
    const modification = await resource.parse(action, names, type, settings);
    if (modification) return modification;
  }
  throw new HcsError({
    action,
    problem: `${type} of "${path}" is not possible, only SCSI attachments on controllers 0 to 3, LUNs 0 to 63, can be added and removed`,
    code: 'ERROR_NOT_SUPPORTED',
  });
}
