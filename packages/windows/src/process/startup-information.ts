import { bind } from '../bind.ts';
import { kernel32 } from '../dlls/kernel32.ts';
import { koffi } from '../koffi.ts';
import type { Handle } from '../procedure.ts';
import { struct } from '../struct.ts';

/** `STARTUPINFOEXW` (winbase.h). */
export const startupInformationLayout = struct({
  size: 'DWORD',
  reserved: 'POINTER',
  desktop: 'POINTER',
  title: 'POINTER',
  x: 'DWORD',
  y: 'DWORD',
  width: 'DWORD',
  height: 'DWORD',
  columns: 'DWORD',
  rows: 'DWORD',
  fillAttribute: 'DWORD',
  flags: 'DWORD',
  showWindow: 'USHORT',
  reserved2Size: 'USHORT',
  reserved2: 'POINTER',
  stdInput: 'POINTER',
  stdOutput: 'POINTER',
  stdError: 'POINTER',
  attributeList: 'POINTER',
});

/** `PROCESS_INFORMATION` (processthreadsapi.h). */
export const processInformationLayout = struct({
  process: 'POINTER',
  thread: 'POINTER',
  processId: 'DWORD',
  threadId: 'DWORD',
});

/** `PROC_THREAD_ATTRIBUTE_*` (winbase.h): what a new process can be given. */
const attributes = {
  PARENT_PROCESS: 0x20000n,
  HANDLE_LIST: 0x20002n,
  JOB_LIST: 0x2000dn,
  PSEUDOCONSOLE: 0x20016n,
} as const;

/** A list takes 24 bytes, and 24 for each attribute; some are to spare. */
const attributeListSize = 256;

/** `STARTF_USESTDHANDLES`: the process has the streams that are named, and no others. */
const useStdHandles = 0x100;

export interface Startup {
  stdInput: Handle<'HANDLE'> | undefined;
  stdOutput: Handle<'HANDLE'> | undefined;
  stdError: Handle<'HANDLE'> | undefined;
  job: Handle<'HANDLE'> | undefined;
  pseudoConsole: Handle<'HPCON'> | undefined;
  parent: Handle<'HANDLE'> | undefined;
}

/**
 * `STARTUPINFOEXW` with its list of attributes and their values behind it, all in one buffer, as they point at each other. To
 * be disposed of when the process has been created.
 */
export class StartupInformation implements Disposable {
  readonly memory: Buffer;

  constructor(startup: Startup) {
    const { stdInput, stdOutput, stdError, job, pseudoConsole, parent } = startup;
    const inherited = [...new Set([stdInput, stdOutput, stdError])].filter((one) => one !== undefined);
    const valuesAt = startupInformationLayout.size + attributeListSize;
    this.memory = Buffer.alloc(valuesAt + 8 * (inherited.length + 2));
    const address = koffi().address(this.memory);
    const list = this.#attributeList;
    const { InitializeProcThreadAttributeList, UpdateProcThreadAttribute } = bind(kernel32);
    const count = Object.keys(attributes).length;
    InitializeProcThreadAttributeList({ list, count, flags: 0, size: BigInt(attributeListSize) });
    const update = (attribute: bigint, value: bigint, size: number) =>
      UpdateProcThreadAttribute({
        list,
        flags: 0,
        attribute,
        value,
        size: BigInt(size),
        previousValue: null,
        returnSize: null,
      });
    let at = valuesAt;
    const updateWithHandles = (attribute: bigint, handles: readonly bigint[]) => {
      if (handles.length === 0) return;
      update(attribute, address + BigInt(at), 8 * handles.length);
      for (const handle of handles) at = this.memory.writeBigUInt64LE(handle, at);
    };
    try {
      updateWithHandles(attributes.HANDLE_LIST, inherited);
      if (job !== undefined) updateWithHandles(attributes.JOB_LIST, [job]);
      if (parent !== undefined) updateWithHandles(attributes.PARENT_PROCESS, [parent]);
      // The handle itself is the value, not its address.
      if (pseudoConsole !== undefined) update(attributes.PSEUDOCONSOLE, pseudoConsole, 8);
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
    startupInformationLayout
      .encode({
        size: startupInformationLayout.size,
        flags: useStdHandles,
        stdInput: stdInput ?? 0n,
        stdOutput: stdOutput ?? 0n,
        stdError: stdError ?? 0n,
        attributeList: address + BigInt(startupInformationLayout.size),
      })
      .copy(this.memory);
  }

  get #attributeList(): Buffer {
    return this.memory.subarray(startupInformationLayout.size);
  }

  [Symbol.dispose](): void {
    bind(kernel32).DeleteProcThreadAttributeList({ list: this.#attributeList });
  }
}
