import { rm } from 'node:fs/promises';
import { bind, type Handle, kernel32, OwnedHandle, setPointer, virtdisk, wideString } from '@hcsshim/windows';
import { absolutePath, type LayerCallOptions, layerCall } from './layer-call.ts';

/** 1 MiB, as hcsshim makes all of its disks (computestorage/helpers.go). */
const blockSize = 1024 * 1024;

/** `OPEN_VIRTUAL_DISK_FLAG_CACHED_IO`, for the parent of a differencing disk. */
const cachedIo = 0x8;
/** `ATTACH_VIRTUAL_DISK_FLAG_BYPASS_DEFAULT_ENCRYPTION_POLICY`. */
const bypassEncryptionPolicy = 0x20;

/**
 * A VHD or VHDX of the host, opened through `virtdisk.dll`. Closing it detaches it. Its calls reject with an HcsError that
 * names the disk's path.
 */
export class VirtualDisk implements AsyncDisposable {
  readonly path: string;
  readonly #handle: OwnedHandle<'HANDLE'>;

  private constructor(path: string, handle: Handle<'HANDLE'>) {
    this.path = path;
    this.#handle = new OwnedHandle('HANDLE', handle, (object) => bind(kernel32).CloseHandle({ object }));
  }

  /** Makes an empty VHDX that grows as it is written to. A file that is there is an error. @param size In bytes. */
  static async create(path: string, size: bigint, options: LayerCallOptions = {}): Promise<VirtualDisk> {
    return createDisk(`create disk "${path}"`, path, createParameters({ size }), options);
  }

  /** Makes a VHDX that keeps the differences to another, its parent. */
  static async createDifferencing(
    path: string,
    parent: string,
    options: LayerCallOptions = {},
  ): Promise<VirtualDisk> {
    const action = `create disk "${path}" over "${parent}"`;
    return createDisk(
      action,
      path,
      createParameters({ parent: absolutePath(parent, 'parent disk') }),
      options,
    );
  }

  static async open(
    path: string,
    { readOnly = false, ...options }: LayerCallOptions & { readOnly?: boolean } = {},
  ): Promise<VirtualDisk> {
    return takeDisk(`open disk "${path}"`, path, options, () =>
      bind(virtdisk).OpenVirtualDisk({
        storageType: storageType(),
        path: absolutePath(path, 'disk'),
        accessMask: 0,
        flags: 0,
        parameters: openParameters(readOnly),
      }),
    );
  }

  /** @internal */
  static adopt(path: string, handle: Handle<'HANDLE'>): VirtualDisk {
    return new VirtualDisk(path, handle);
  }

  /** Lends the handle to one call. */
  use<T>(call: (handle: Handle<'HANDLE'>) => T): Promise<Awaited<T>> {
    return this.#handle.use(call);
  }

  /** Makes it a disk of the host, until it is detached or closed. */
  async attach({
    encrypt = true,
    ...options
  }: LayerCallOptions & {
    /** The host's policy to encrypt new volumes holds. @default true */
    encrypt?: boolean;
  } = {}): Promise<void> {
    return layerCall(`attach disk "${this.path}"`, options, () =>
      this.use((disk) =>
        bind(virtdisk).AttachVirtualDisk({
          disk,
          securityDescriptor: null,
          flags: encrypt ? 0 : bypassEncryptionPolicy,
          providerFlags: 0,
          // Version 2 came after build 17763, and nothing is set in either.
          parameters: null,
          overlapped: null,
        }),
      ),
    );
  }

  async detach(options: LayerCallOptions = {}): Promise<void> {
    return layerCall(`detach disk "${this.path}"`, options, () =>
      this.use((disk) => bind(virtdisk).DetachVirtualDisk({ disk, flags: 0, providerFlags: 0 })),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle.close();
  }
}

async function createDisk(
  action: string,
  path: string,
  parameters: Buffer,
  options: LayerCallOptions,
): Promise<VirtualDisk> {
  const create = async () =>
    bind(virtdisk).CreateVirtualDisk({
      storageType: storageType(),
      path: absolutePath(path, 'disk'),
      accessMask: 0,
      securityDescriptor: null,
      flags: 0,
      providerFlags: 0,
      parameters,
      overlapped: null,
    });
  return takeDisk(action, path, options, create, () => rm(path, { force: true }));
}

/** Owns what a call gives. One that comes when nobody waits any more is closed, and then `discard` called. */
async function takeDisk(
  action: string,
  path: string,
  options: LayerCallOptions,
  call: () => Promise<{ disk: Handle<'HANDLE'> }>,
  discard?: () => Promise<void>,
): Promise<VirtualDisk> {
  return layerCall(action, options, async (deadline) => {
    const { disk: handle } = await call();
    const disk = VirtualDisk.adopt(path, handle);
    if (deadline.aborted) {
      await disk[Symbol.asyncDispose]();
      await discard?.();
    }
    return disk;
  });
}

/** `VIRTUAL_STORAGE_TYPE` of any device and vendor: the file's name and content tell. */
function storageType(): Buffer {
  return Buffer.alloc(20);
}

/** `OPEN_VIRTUAL_DISK_PARAMETERS` of version 2: `int Version; BOOL GetInfoOnly, ReadOnly; GUID ResiliencyGuid`. */
function openParameters(readOnly: boolean): Buffer {
  const parameters = Buffer.alloc(28);
  parameters.writeInt32LE(2, 0);
  parameters.writeInt32LE(readOnly ? 1 : 0, 8);
  return parameters;
}

/**
 * `CREATE_VIRTUAL_DISK_PARAMETERS` of version 2 (virtdisk.h): the version at 0; at 8 a GUID, which the system picks when it
 * is zero; at 24 the size and at 32 the block size; at 48 the parent's path, whose presence makes it a differencing
 * disk; at 64 how the parent is opened.
 */
function createParameters({ size = 0n, parent }: { size?: bigint; parent?: string }): Buffer {
  const parameters = Buffer.alloc(128);
  parameters.writeInt32LE(2, 0);
  parameters.writeBigUInt64LE(size, 24);
  parameters.writeUInt32LE(blockSize, 32);
  if (parent !== undefined) {
    setPointer(parameters, 48, wideString(parent));
    parameters.writeUInt32LE(cachedIo, 64);
  }
  return parameters;
}
