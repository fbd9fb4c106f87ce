import { bind, DllCallError, type Handle, kernel32, ntdll, readMemory } from '@hcsshim/windows';

/**
 * As much of the kernel's files as {@link RootDirectory} calls, in memory, on any system: with reparse points, which Wine 8 does not make.
 * As on Windows one is followed unless OBJ_DONT_REPARSE says otherwise, so that a call which forgets that gets out.
 */
export interface MemoryNode {
  attributes: number;
  /** Names in it, of a directory. */
  children?: Map<string, MemoryNode>;
  /** Of a reparse point. */
  target?: MemoryNode;
  links: number;
}

const directory = 0x10;
const readOnly = 0x1;
const reparsePoint = 0x400;
const mountPointTag = 0xa0000003;

const dontReparse = 0x1000;
const openReparsePoint = 0x00200000;
const directoryFile = 0x1;
const create = 2;

const status = {
  notFound: 0xc0000034,
  collision: 0xc0000035,
  pathNotFound: 0xc000003a,
  notEmpty: 0xc0000101,
  notADirectory: 0xc0000103,
  cannotDelete: 0xc0000121,
  reparsePointEncountered: 0xc000050b,
} as const;

interface Opened {
  node: MemoryNode;
  parent: MemoryNode | undefined;
  name: string;
}

export function memoryFile(attributes = 0x20): MemoryNode {
  return { attributes, links: 1 };
}

export function memoryDirectory(children: Record<string, MemoryNode> = {}): MemoryNode {
  return { attributes: directory, children: new Map(Object.entries(children)), links: 1 };
}

export function memoryJunction(target: MemoryNode): MemoryNode {
  return { attributes: directory | reparsePoint, target, links: 1 };
}

export class MemoryKernel implements Disposable {
  readonly opened = new Map<bigint, Opened>();
  readonly #drives: MemoryNode;
  readonly #undo = new DisposableStack();
  #nextHandle = 4n;

  /** @param drives Directories by `C:` and the like. */
  constructor(drives: Record<string, MemoryNode>) {
    this.#drives = memoryDirectory(drives);
    this.#replace(bind(ntdll), 'NtCreateFile', async (inputs) => ({
      file: this.#create(inputs.objectAttributes as Buffer, inputs.createDisposition, inputs.createOptions),
    }));
    this.#replace(bind(ntdll), 'NtSetInformationFile', async ({ file, informationClass, information }) => {
      this.#set(this.#find(file), informationClass, information as Buffer);
      return undefined;
    });
    this.#replace(
      bind(kernel32),
      'GetFileInformationByHandleEx',
      async ({ file, informationClass, information }) => {
        query(this.#find(file).node, informationClass, information as Buffer);
        return undefined;
      },
    );
    this.#replace(bind(kernel32), 'CloseHandle', ({ object }) => {
      this.#find(object);
      this.opened.delete(object);
      return undefined;
    });
  }

  [Symbol.dispose](): void {
    this.#undo.dispose();
  }

  #replace<Bound extends object, Name extends keyof Bound>(
    bound: Bound,
    name: Name,
    value: Bound[Name],
  ): void {
    const before = Object.getOwnPropertyDescriptor(bound, name) as PropertyDescriptor;
    this.#undo.defer(() => void Object.defineProperty(bound, name, before));
    Object.defineProperty(bound, name, { value, configurable: true, enumerable: true });
  }

  #find(handle: bigint): Opened {
    const opened = this.opened.get(handle);
    if (opened === undefined) throw new Error(`${handle} is not open`);
    return opened;
  }

  #create(attributes: Buffer, disposition: number, options: number): Handle<'HANDLE'> {
    const root = attributes.readBigUInt64LE(8);
    const follows = (attributes.readUInt32LE(24) & dontReparse) === 0;
    const path = nameIn(attributes).replace(/^\\\?\?\\/, '');
    const opened: Opened = {
      node: root === 0n ? this.#drives : this.#find(root).node,
      parent: undefined,
      name: '',
    };
    const names = path.split('\\').filter((name) => name !== '');
    for (const [index, name] of names.entries()) {
      const isLast = index === names.length - 1;
      opened.parent = opened.node;
      opened.name = name;
      let node = opened.parent.children?.get(name);
      if (node !== undefined && isLast && disposition === create) refuse(status.collision);
      if (node === undefined && isLast && disposition === create) {
        node = (options & directoryFile) !== 0 ? memoryDirectory() : memoryFile();
        opened.parent.children?.set(name, node);
      }
      if (node === undefined) refuse(isLast ? status.notFound : status.pathNotFound);
      const isFollowed = node.target !== undefined && !(isLast && (options & openReparsePoint) !== 0);
      if (isFollowed && !follows) refuse(status.reparsePointEncountered);
      opened.node = isFollowed ? (node.target as MemoryNode) : node;
      if (!isLast && opened.node.children === undefined) refuse(status.pathNotFound);
    }
    if ((options & directoryFile) !== 0 && (opened.node.attributes & directory) === 0)
      refuse(status.notADirectory);
    this.#nextHandle += 4n;
    this.opened.set(this.#nextHandle, opened);
    return this.#nextHandle as Handle<'HANDLE'>;
  }

  #set({ node, parent, name }: Opened, informationClass: number, information: Buffer): void {
    if (informationClass === 4) {
      node.attributes = information.readUInt32LE(32) || node.attributes;
    } else if (informationClass === 11) {
      const target = this.#find(information.readBigUInt64LE(8)).node.children;
      const newName = information.toString('utf16le', 20, 20 + information.readUInt32LE(16));
      if (target?.has(newName)) refuse(status.collision);
      target?.set(newName, node);
      node.links++;
    } else {
      if ((node.attributes & readOnly) !== 0) refuse(status.cannotDelete);
      if (node.children !== undefined && node.children.size > 0) refuse(status.notEmpty);
      parent?.children?.delete(name);
      node.links--;
    }
  }
}

function query(node: MemoryNode, informationClass: number, information: Buffer): void {
  if (informationClass === 0) {
    information.writeUInt32LE(node.attributes, 32);
  } else if (informationClass === 15) {
    const entries = [['.', node], ['..', node], ...(node.children ?? [])] as [string, MemoryNode][];
    let at = 0;
    for (const [index, [name, child]] of entries.entries()) {
      const length = Math.ceil((68 + 2 * name.length) / 8) * 8;
      information.writeUInt32LE(index === entries.length - 1 ? 0 : length, at);
      information.writeUInt32LE(child.attributes, at + 56);
      information.writeUInt32LE(2 * name.length, at + 60);
      information.writeUInt32LE(child.target === undefined ? 0 : mountPointTag, at + 64);
      information.write(name, at + 68, 'utf16le');
      at += length;
    }
  } else {
    throw new DllCallError({
      dll: 'kernel32.dll',
      procedure: 'GetFileInformationByHandleEx',
      kind: 'WIN32_ERROR',
      status: 18,
    });
  }
}

/** The name in `OBJECT_ATTRIBUTES`: at 16 the address of a `UNICODE_STRING`. */
function nameIn(attributes: Buffer): string {
  const name = readMemory(attributes.readBigUInt64LE(16), 16);
  const length = name.readUInt16LE(0);
  return length === 0 ? '' : readMemory(name.readBigUInt64LE(8), length).toString('utf16le');
}

function refuse(code: number): never {
  throw new DllCallError({
    dll: 'ntdll.dll',
    procedure: 'NtCreateFile',
    kind: 'NTSTATUS',
    status: code,
  });
}
