import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { HcsError, type HResultName } from '@hcsshim/hcs';
import type { ComputeSystemDocument, ScsiAttachment, ScsiControllerDocument } from '@hcsshim/schema';
import { requireFixedVhd } from './fixed-vhd.ts';

/**
 * The GUIDs by which HCS documents may name SCSI controllers 0 to 3: version 5 of namespace
 * d422512d-2bf2-4752-809d-7b82b5fcb1b4 over the names "0" to "3" (upstream `internal/protocol/guestrequest`).
 */
const scsiControllerGuids = [
  'df6d0690-79e5-55b6-a5ec-c1e2f77f580a',
  '0110f83b-de10-5172-a266-78bca56bf50a',
  'b5d2d8d4-3a75-51bf-945b-3444dc6b8579',
  '305891a9-b251-5dfe-91a2-c25d9212275b',
];
const lunsPerController = 64;

/** Devices that HCS knows and Linux, or this engine, has not. One that asks for nothing (`{}`) is let pass. */
const unsupportedDevices: Record<string, string> = {
  VirtualSmb: 'VSMB shares are served by Windows hosts only, share files on a SCSI disk',
  Plan9: 'Plan 9 shares are not served yet, share files on a SCSI disk',
  VirtualPMem: 'persistent memory devices are not made yet, attach the layer as a SCSI disk',
  VirtualPci: 'PCI devices are not assigned',
  FlexibleIov: 'flexible I/O devices need a Windows host',
  NetworkAdapters: 'network adapters are not made yet',
  VideoMonitor: 'there is no video monitor, use a serial port',
  Keyboard: 'there is no keyboard, use a serial port',
  Mouse: 'there is no mouse',
  EnhancedModeVideo: 'remote desktops need a Windows guest',
  SharedMemory: 'shared memory regions are not made',
  Battery: 'there is no battery',
};
const supportedDevices = new Set(['Scsi', 'ComPorts', 'HvSocket', 'GuestCrashReporting']);

const unsupportedMachineParts: Record<string, string> = {
  RestoreState: 'saved states are not restored',
  SecuritySettings: 'there is no TPM and no isolation of memory',
};

/** A document that has the form the engine relies on. */
export type CheckedDocument = ComputeSystemDocument & Required<Pick<ComputeSystemDocument, 'VirtualMachine'>>;

/** One disk of a document. */
export interface DocumentDisk {
  controller: number;
  lun: number;
  attachment: ScsiAttachment;
}

export interface DocumentRules {
  /** The VM boots the kernel that the document names. */
  bootsKernel: boolean;
}

/**
 * Checks a document before anything is made of it.
 * Throws HCS_E_INVALID_JSON with the path of the offending field, ERROR_NOT_SUPPORTED for what Linux has not,
 * ERROR_FILE_NOT_FOUND for a file that is missing, ERROR_INVALID_DATA for a disk that is no VHD.
 */
export async function validateDocument(
  id: string,
  document: ComputeSystemDocument,
  rules: DocumentRules,
): Promise<CheckedDocument> {
  const action = `Cannot create compute system "${id}"`;
  const root = new Field(action, '', document);
  const object = root.object();
  if (object.SystemType !== undefined && object.SchemaVersion === undefined) {
    root.at('SystemType').refuse('documents of schema 1 need a Windows host', 'ERROR_NOT_SUPPORTED');
  }
  root.at('Owner').string();
  const version = root.at('SchemaVersion');
  const major = version.at('Major').integer(0, 255);
  version.at('Minor').integer(0, 255);
  if (major !== 2)
    version.refuse(`schema ${major} is not spoken here, only schema 2.x`, 'ERROR_NOT_SUPPORTED');
  root.at('ShouldTerminateOnLastHandleClosed').optional()?.boolean();
  for (const kind of ['Container', 'HostedSystem']) {
    if (object[kind] !== undefined) {
      root.at(kind).refuse('Windows containers need a Windows host', 'ERROR_NOT_SUPPORTED');
    }
  }
  const machine = root.at('VirtualMachine');
  machine.unsupported(unsupportedMachineParts);
  machine.at('StopOnReset').optional()?.boolean();
  const files = checkChipset(machine.at('Chipset'), rules);
  checkTopology(machine.at('ComputeTopology'));
  const devices = machine.at('Devices').optional();
  const disks = devices ? checkDevices(devices) : [];
  await Promise.all([...files.map((file) => file.exists()), ...disks.map((disk) => disk.isDisk())]);
  return document as CheckedDocument;
}

/** All disks of a checked document, in order. */
export function documentDisks(document: CheckedDocument): DocumentDisk[] {
  const controllers: Record<string, ScsiControllerDocument> = document.VirtualMachine.Devices?.Scsi ?? {};
  return Object.entries(controllers).flatMap(([name, { Attachments }]) =>
    Object.entries(Attachments ?? {}).map(([lun, attachment]) => ({
      controller: scsiControllerNumber(name) as number,
      lun: Number(lun),
      attachment,
    })),
  );
}

/** 0 to 3 for a controller's number or GUID, undefined for any other name. */
export function scsiControllerNumber(name: string): number | undefined {
  if (/^[0-3]$/.test(name)) return Number(name);
  const index = scsiControllerGuids.indexOf(name.toLowerCase());
  return index === -1 ? undefined : index;
}

/** 0 to 63, or undefined for what is no LUN. */
export function scsiLun(name: string): number | undefined {
  return /^(0|[1-9]\d?)$/.test(name) && Number(name) < lunsPerController ? Number(name) : undefined;
}

/** Checks the settings of a disk that is about to be attached. Throws as {@link validateDocument}. */
export async function validateScsiAttachment(action: string, settings: unknown): Promise<ScsiAttachment> {
  const disk = checkAttachment(new Field(action, 'Settings', settings));
  await disk.isDisk();
  return settings as ScsiAttachment;
}

function checkChipset(chipset: Field, { bootsKernel }: DocumentRules): Field[] {
  chipset.object();
  chipset.unsupported({ Uefi: 'firmware is not booted, name a kernel in LinuxKernelDirect' });
  const direct = chipset.at('LinuxKernelDirect');
  const named = bootsKernel ? direct : direct.optional();
  if (!named) return [];
  named.at('KernelCmdLine').optional()?.text();
  const files = [named.at('KernelFilePath'), named.at('InitRdPath').optional()].filter(
    (file) => file !== undefined,
  );
  for (const file of files) file.absolutePath();
  return bootsKernel ? files : [];
}

function checkTopology(topology: Field): void {
  const memory = topology.at('Memory');
  memory.at('SizeInMB').integer(1, 1024 * 1024);
  memory.at('AllowOvercommit').optional()?.boolean();
  const processor = topology.at('Processor');
  processor.at('Count').integer(1, 1024);
  processor.at('Limit').optional()?.integer(1, 100_000);
  processor.at('Weight').optional()?.integer(0, 10_000);
}

function checkDevices(devices: Field): Field[] {
  devices.unsupported(unsupportedDevices);
  for (const name of Object.keys(devices.object())) {
    if (!supportedDevices.has(name) && !(name in unsupportedDevices)) {
      devices.at(name).refuse('no such device is known here', 'ERROR_NOT_SUPPORTED');
    }
  }
  devices.at('HvSocket').optional()?.object();
  for (const port of devices.at('ComPorts').optional()?.entries() ?? []) port.at('NamedPipe').string();
  return (devices.at('Scsi').optional()?.entries() ?? []).flatMap((controller) => {
    if (scsiControllerNumber(controller.name) === undefined) {
      controller.refuse('no such controller, name one of "0" to "3" or its GUID');
    }
    return (controller.at('Attachments').optional()?.entries() ?? []).map((attachment) => {
      if (scsiLun(attachment.name) === undefined) {
        attachment.refuse(`no such LUN, name one of "0" to "${lunsPerController - 1}"`);
      }
      return checkAttachment(attachment);
    });
  });
}

function checkAttachment(attachment: Field): Field {
  const type = attachment.at('Type').string();
  if (type !== 'VirtualDisk' && type !== 'PassThru') {
    attachment
      .at('Type')
      .refuse(`"${type}" is not made here, only VirtualDisk and PassThru`, 'ERROR_NOT_SUPPORTED');
  }
  attachment.at('ReadOnly').optional()?.boolean();
  attachment.at('Path').absolutePath();
  return attachment;
}

/** A value in a document and the way to it, so that a complaint can name the field. */
class Field {
  readonly path: string;
  readonly #action: string;
  readonly #value: unknown;

  constructor(action: string, path: string, value: unknown) {
    this.#action = action;
    this.path = path;
    this.#value = value;
  }

  get name(): string {
    return this.path.slice(this.path.lastIndexOf('.') + 1);
  }

  at(name: string): Field {
    const object = this.object();
    const value = Object.hasOwn(object, name) ? object[name] : undefined;
    return new Field(this.#action, this.path === '' ? name : `${this.path}.${name}`, value);
  }

  optional(): Field | undefined {
    return this.#value === undefined ? undefined : this;
  }

  object(): Record<string, unknown> {
    if (typeof this.#value !== 'object' || this.#value === null || Array.isArray(this.#value)) {
      this.#expected('an object');
    }
    return this.#value as Record<string, unknown>;
  }

  entries(): Field[] {
    return Object.keys(this.object()).map((name) => this.at(name));
  }

  /** Any text without NUL, which no system call takes. */
  text(): string {
    if (typeof this.#value !== 'string' || this.#value.includes('\0')) this.#expected('a string');
    return this.#value as string;
  }

  string(): string {
    if (this.text() === '') this.#expected('a string that is not empty');
    return this.text();
  }

  boolean(): void {
    if (typeof this.#value !== 'boolean') this.#expected('true or false');
  }

  integer(least: number, most: number): number {
    const value = this.#value;
    if (typeof value !== 'number' || !Number.isInteger(value) || value < least || value > most) {
      this.#expected(`an integer from ${least} to ${most}`);
    }
    return value as number;
  }

  absolutePath(): void {
    if (!this.string().startsWith('/')) this.#expected('an absolute path');
  }

  /** Throws ERROR_FILE_NOT_FOUND, or E_ACCESSDENIED, unless the file that this names can be read. */
  async exists(): Promise<void> {
    const path = this.string();
    try {
      await access(path, constants.R_OK);
    } catch (error) {
      const missing = (error as NodeJS.ErrnoException).code !== 'EACCES';
      throw new HcsError({
        action: this.#action,
        problem: `"${path}" (${this.path}) ${missing ? 'does not exist' : 'may not be read'}`,
        code: missing ? 'ERROR_FILE_NOT_FOUND' : 'E_ACCESSDENIED',
        cause: error,
      });
    }
  }

  /** Throws unless this attachment's disk is there and of the form that its type says. */
  async isDisk(): Promise<void> {
    const path = this.at('Path');
    await path.exists();
    if (this.at('Type').string() === 'VirtualDisk') await requireFixedVhd(this.#action, path.string());
  }

  /** Refuses the named parts where they ask for something. */
  unsupported(parts: Record<string, string>): void {
    for (const [name, words] of Object.entries(parts)) {
      const part = this.at(name).optional();
      if (part && !isEmpty(part.#value)) part.refuse(words, 'ERROR_NOT_SUPPORTED');
    }
  }

  refuse(words: string, code: HResultName = 'HCS_E_INVALID_JSON'): never {
    throw new HcsError({ action: this.#action, problem: `${this.path || 'the document'}: ${words}`, code });
  }

  #expected(what: string): never {
    this.refuse(this.#value === undefined ? `is missing, must be ${what}` : `must be ${what}`);
  }
}

function isEmpty(value: unknown): boolean {
  return value === null || (typeof value === 'object' && Object.keys(value).length === 0);
}
