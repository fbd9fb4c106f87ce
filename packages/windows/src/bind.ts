import type { KoffiFunc, LibraryHandle } from 'koffi';
import { com } from './dlls/com.ts';
import { kernel32 } from './dlls/kernel32.ts';
import { node } from './dlls/node.ts';
import { koffi } from './koffi.ts';
import { Marshaller, type StringOwner } from './marshal.ts';
import { MissingProcedureError } from './missing-procedure-error.ts';
import type { BoundDll, Dll, Procedure } from './procedure.ts';

type NativeFunction = KoffiFunc<(...values: unknown[]) => unknown>;

const bound = new Map<Dll, unknown>();
const libraries = new Map<string, LibraryHandle>();

/**
 * The procedures of a DLL as functions. Nothing is loaded before a function is first looked at; then the DLL
 * is, and stays for as long as the process lives, since its threads may call back at any time.
 *
 * A procedure that this machine lacks throws a {@link MissingProcedureError} when it is looked at. A call
 * that fails throws, or rejects with, a {@link DllCallError}; a value of the wrong type gives a TypeError.
 */
export function bind<D extends Dll>(dll: D): BoundDll<D> {
  const existing = bound.get(dll);
  if (existing !== undefined) return existing as BoundDll<D>;
  const functions = {};
  for (const [name, procedure] of Object.entries(dll.procedures)) {
    Object.defineProperty(functions, name, {
      configurable: true,
      enumerable: true,
      get() {
        const value = bindProcedure(dll, name, procedure);
        Object.defineProperty(functions, name, { value, enumerable: true });
        return value;
      },
    });
  }
  bound.set(dll, functions);
  return functions as BoundDll<D>;
}

function bindProcedure(dll: Dll, name: string, procedure: Procedure): (inputs?: object) => unknown {
  const marshaller = new Marshaller(dll, name, procedure);
  const native = findProcedure(dll, name, procedure, marshaller);
  const lastErrorOf = marshaller.usesLastError ? lastError : () => 0;
  const now = (inputs: object = {}): unknown => {
    const call = marshaller.prepare(inputs as Record<string, unknown>);
    const returned = native(...call.values);
    return marshaller.finish(call, returned, lastErrorOf(), strings);
  };
  if (procedure.immediate === true) return now;
  const onPool = async (inputs: object = {}): Promise<unknown> => {
    const call = marshaller.prepare(inputs as Record<string, unknown>);
    const queued = turn();
    // With room the call begins at once, before anything else that its caller has to do.
    if (queued !== undefined) await queued;
    try {
      return await new Promise((resolve, reject) => {
        native.async(...call.values, (error: unknown, returned: unknown) => {
          // koffi carries the pool thread's last error over to this thread, until the next call.
          const code = lastErrorOf();
          if (error) return reject(error);
          try {
            resolve(marshaller.finish(call, returned, code, strings));
          } catch (failure) {
            reject(failure);
          }
        });
      });
    } finally {
      endTurn();
    }
  };
  return procedure.immediate === 'optional' ? Object.assign(onPool, { now }) : onPool;
}

function findProcedure(dll: Dll, name: string, procedure: Procedure, marshaller: Marshaller): NativeFunction {
  const missing = { dll: dll.file, procedure: name, build: procedure.build ?? dll.build };
  if (process.platform !== 'win32') throw new MissingProcedureError({ ...missing, missing: 'dll' });
  const { load } = koffi();
  let library = libraries.get(dll.file);
  if (library === undefined) {
    try {
      library = load(dll === node ? process.execPath : dll.file);
    } catch (cause) {
      throw new MissingProcedureError({ ...missing, missing: 'dll', cause });
    }
    libraries.set(dll.file, library);
  }
  try {
    return library.func(name, marshaller.returns, marshaller.parameters) as NativeFunction;
  } catch (cause) {
    throw new MissingProcedureError({ ...missing, missing: 'procedure', cause });
  }
}

/**
 * Calls on pool threads that koffi gets at a time; it refuses more than it has room for, and needs the same
 * room for callbacks. libuv runs four of them at once (`UV_THREADPOOL_SIZE`).
 */
const maxTurns = 128;
let turns = 0;
const waiting: (() => void)[] = [];

function turn(): Promise<void> | undefined {
  if (turns < maxTurns) {
    turns++;
    return undefined;
  }
  const { promise, resolve } = Promise.withResolvers<void>();
  waiting.push(resolve);
  return promise;
}

function endTurn(): void {
  const next = waiting.shift();
  if (next === undefined) turns--;
  else next();
}

let getLastError: NativeFunction | undefined;

/** The thread's last error. Must be read before any other call. */
function lastError(): number {
  getLastError ??= findProcedure(kernel32, 'GetLastError', lastErrorProcedure, lastErrorMarshaller);
  return getLastError() as number;
}

const lastErrorProcedure: Procedure = { returns: 'DWORD', parameters: {}, purpose: 'Why a call failed' };
const lastErrorMarshaller = new Marshaller(kernel32, 'GetLastError', lastErrorProcedure);

const strings: StringOwner = {
  takeLocalString(address) {
    const text = koffi().decode.string16(address);
    if (bind(kernel32).LocalFree({ memory: address }) !== 0n) {
      throw new Error(`Cannot free a string that a DLL has allocated: LocalFree refused its address`);
    }
    return text;
  },
  takeCoTaskMemString(address) {
    const text = koffi().decode.string16(address);
    bind(com).CoTaskMemFree({ memory: address });
    return text;
  },
};
