import type { Accelerator } from './accelerator.ts';
import type { DiskImage } from './disk-image.ts';
import { kernelArguments } from './kernel-arguments.ts';

/**
 * Changes when a VM made by an older version of these files must not be continued by a newer one; goes
 * into the key of a template.
 */
export const machineLayoutVersion = 1;

/** File descriptors that QEMU inherits; see `QemuProcess`. */
export const InheritedFd = { qmp: 3, bootstrap: 4, console: 5, memory: 6, state: 7 } as const;

/** Name of the virtio-serial port on which engine and agent speak before there is a vsock. */
const bootstrapPortName = 'org.hcsshim.bootstrap';

/**
 * Bus numbers and slots never move: a template's guest has them in its memory. Slot 0x1f is the chipset's.
 */
const pciSlots = { scsi: 0x02, serial: 0x08, panic: 0x09, rootPorts: 0x10 } as const;

/** Empty PCI Express slots for devices added while the VM runs. The first is the vsock's. */
const rootPortCount = 4;
const vsockBus = 'rp0';

/** One disk with its place. */
export interface DiskSlot {
  controller: number;
  lun: number;
  image: DiskImage;
}

/** All that decides which hardware a VM has. */
export interface Machine {
  /** A versioned machine type, for example `pc-q35-7.2`. */
  machineType: string;
  accelerator: Accelerator;
  processors: number;
  memoryMb: number;
  kernelPath: string;
  initrdPath?: string;
  /** As in the document. */
  kernelCommandLine: string;
  /** 1 to 4 */
  scsiControllers: number;
}

/** How a VM of that hardware is to come up. */
export interface Launch {
  /** Shown in the list of processes; means nothing to the guest. */
  name?: string;
  /** Disks present from the beginning. */
  disks: DiskSlot[];
  /** Unix socket of the vhost-user backend; without it the vsock is added later, or never. */
  vsockSocketPath?: string;
  /** Unix socket that QEMU makes for COM1; without it COM1 goes to the inherited console descriptor. */
  consoleSocketPath?: string;
  /** Waits for the state of a saved VM instead of booting. */
  incoming: boolean;
}

/** The arguments that make QEMU run such a VM. */
export function buildCommandLine(machine: Machine, launch: Launch): string[] {
  return [
    ['-nodefaults', '-no-user-config', '-no-reboot'],
    ['-display', 'none'],
    ...(launch.name === undefined ? [] : [['-name', escapeOption(launch.name)]]),
    ['-machine', `${machine.machineType},memory-backend=ram,sata=off,smbus=off,vmport=off,usb=off`],
    ...acceleratorArguments(machine.accelerator),
    ['-smp', String(machine.processors)],
    ['-m', `${machine.memoryMb}M`],
    // Shared, because the vsock's backend reads and writes the rings in the guest's memory.
    ['-object', json(memoryBackend(machine.memoryMb))],
    ['-kernel', machine.kernelPath],
    ...(machine.initrdPath === undefined ? [] : [['-initrd', machine.initrdPath]]),
    ['-append', kernelArguments(machine.kernelCommandLine, machine.accelerator.name)],
    ['-chardev', `socket,id=qmp,fd=${InheritedFd.qmp}`],
    ['-mon', 'chardev=qmp,mode=control'],
    ['-chardev', consoleChardev(launch.consoleSocketPath)],
    ['-device', 'isa-serial,chardev=console,index=0'],
    ...rootPorts(),
    ...scsiControllers(machine.scsiControllers),
    ['-device', `virtio-serial-pci,id=serial,addr=${hex(pciSlots.serial)}`],
    ['-chardev', `socket,id=bootstrap,fd=${InheritedFd.bootstrap}`],
    ['-device', `virtserialport,bus=serial.0,nr=1,chardev=bootstrap,name=${bootstrapPortName}`],
    ['-device', `pvpanic-pci,addr=${hex(pciSlots.panic)}`],
    ...launch.disks.flatMap((disk) => [
      ['-blockdev', json(blockNode(disk))],
      ['-device', json(diskDevice(disk))],
    ]),
    ...(launch.vsockSocketPath === undefined
      ? []
      : [
          ['-chardev', `socket,id=vsock,path=${escapeOption(launch.vsockSocketPath)}`],
          ['-device', json(vsockDevice())],
        ]),
    ...(launch.incoming ? [['-incoming', 'defer', '-S']] : []),
  ].flat();
}

/** The `-blockdev` and `blockdev-add` form of a disk. */
export function blockNode({ controller, lun, image }: DiskSlot): Record<string, unknown> {
  const { path, readOnly, size } = image;
  return {
    driver: 'raw',
    'node-name': diskNodeName(controller, lun),
    'read-only': readOnly,
    ...(size === undefined ? {} : { offset: 0, size }),
    ...(readOnly ? {} : { discard: 'unmap' }),
    file: {
      driver: size === undefined ? 'host_device' : 'file',
      filename: path,
      'read-only': readOnly,
      // Many VMs read one root disk. A lock would also keep out whoever replaces the file.
      ...(readOnly ? { locking: 'off' } : {}),
    },
  };
}

/** The `-device` and `device_add` form of a disk. */
export function diskDevice({ controller, lun }: DiskSlot): Record<string, unknown> {
  return {
    driver: 'scsi-hd',
    id: diskDeviceId(controller, lun),
    bus: `scsi${controller}.0`,
    channel: 0,
    'scsi-id': 0,
    lun,
    drive: diskNodeName(controller, lun),
    serial: `hcsshim-${controller}-${lun}`,
  };
}

/** The `-device` and `device_add` form of the vsock; its chardev is named `vsock`. */
export function vsockDevice(): Record<string, unknown> {
  return { driver: 'vhost-user-vsock-pci', id: 'vsock0', bus: vsockBus, chardev: 'vsock' };
}

export function diskNodeName(controller: number, lun: number): string {
  return `disk-${controller}-${lun}`;
}

export function diskDeviceId(controller: number, lun: number): string {
  return `scsi-${controller}-${lun}`;
}

function acceleratorArguments({ name, cpuModel }: Accelerator): string[][] {
  return [
    ['-accel', name === 'tcg' ? 'tcg,thread=multi' : name],
    ['-cpu', cpuModel],
  ];
}

function memoryBackend(memoryMb: number): Record<string, unknown> {
  return {
    'qom-type': 'memory-backend-file',
    id: 'ram',
    'mem-path': `/proc/self/fd/${InheritedFd.memory}`,
    size: memoryMb * 1024 * 1024,
    share: true,
  };
}

function consoleChardev(socketPath: string | undefined): string {
  return socketPath === undefined
    ? `socket,id=console,fd=${InheritedFd.console}`
    : `socket,id=console,path=${escapeOption(socketPath)},server=on,wait=off`;
}

function rootPorts(): string[][] {
  return Array.from({ length: rootPortCount }, (_, index) => [
    '-device',
    `pcie-root-port,id=rp${index},chassis=${index + 1},slot=${index},addr=${hex(pciSlots.rootPorts + index)}`,
  ]);
}

function scsiControllers(count: number): string[][] {
  return Array.from({ length: count }, (_, index) => [
    '-device',
    `virtio-scsi-pci,id=scsi${index},addr=${hex(pciSlots.scsi + index)}`,
  ]);
}

/** QEMU's option strings end a value at a comma; a doubled one stands for itself. */
function escapeOption(value: string): string {
  return value.replaceAll(',', ',,');
}

function json(value: Record<string, unknown>): string {
  return JSON.stringify(value);
}

function hex(slot: number): string {
  return `0x${slot.toString(16)}`;
}
