/**
 * How the tables in `dlls/` describe a procedure. The words are those of Microsoft's headers; what they mean
 * for a call is in `marshal.ts`, and nowhere else.
 */

/** Kinds of handles. Each is a type of its own, so that a process cannot be handed over for a system. */
export type HandleName =
  | 'HANDLE'
  | 'SOCKET'
  | 'HCS_SYSTEM'
  | 'HCS_PROCESS'
  | 'HCS_OPERATION'
  | 'HCS_CALLBACK'
  | 'HCN_NETWORK'
  | 'HCN_ENDPOINT'
  | 'HCN_NAMESPACE'
  | 'HCN_LOADBALANCER'
  | 'HCN_ROUTE'
  | 'HCN_GUESTNETWORKSERVICE'
  | 'HCN_CALLBACK'
  | 'HKEY'
  | 'HPCON'
  | 'ORHKEY'
  | 'CIMFS_IMAGE_HANDLE'
  | 'CIMFS_STREAM_HANDLE';

declare const handleName: unique symbol;

/** The value of a handle, as it goes into a call. It owns nothing: that is {@link OwnedHandle}'s part. */
export type Handle<Name extends HandleName> = bigint & { readonly [handleName]: Name };

/** `HCS_PROCESS_INFORMATION`: a process's id inside its system, and the pipes to it that it was asked to have. */
export interface ProcessInformation {
  processId: number;
  /** Null where the process has no such pipe. */
  stdInput: Handle<'HANDLE'> | null;
  stdOutput: Handle<'HANDLE'> | null;
  stdError: Handle<'HANDLE'> | null;
}

/** Memory of the caller's: a buffer, the address of one, or nothing. */
export type Memory = Uint8Array | bigint | null;

/** What goes in, by the word in the table. A word with `?` may be left out or null. */
interface InputTypes {
  PCWSTR: string;
  PCSTR: string;
  DWORD: number;
  INT: number;
  USHORT: number;
  UINT64: bigint;
  SIZE_T: bigint;
  BOOL: boolean;
  BOOLEAN: boolean;
  GUID: string;
  /** A number that comes back in callbacks; 0 is none. */
  CONTEXT: bigint;
  /** A pointer that another call gave. */
  ADDRESS: bigint;
  /** The address of a callback, see `callbacks.ts`. */
  CALLBACK: bigint;
}

/** What comes out, by the word after `out`. Strings are null when the DLL gave none. */
interface OutputTypes {
  DWORD: number;
  INT: number;
  UINT64: bigint;
  SIZE_T: bigint;
  BOOL: boolean;
  GUID: string;
  ADDRESS: bigint;
  HCS_PROCESS_INFORMATION: ProcessInformation;
  /** A string that the DLL allocated, to be freed with `LocalFree`. */
  LocalString: string | null;
  /** A string that the DLL allocated, to be freed with `CoTaskMemFree`. */
  CoTaskMemString: string | null;
}

/** Counts that a call reads and changes: how large a buffer is, how much of it was needed. */
type CountKind = 'DWORD' | 'SIZE_T';

export type InputKind = keyof InputTypes | HandleName;
export type OutputKind = keyof OutputTypes | HandleName;

/**
 * `PCWSTR` and its like go in; `PCWSTR?` may be missing; `out DWORD` comes out; `inout DWORD` does both;
 * `memory DRIVER_INFO` is a pointer to a structure or buffer that the caller lays out.
 */
export type ParameterKind =
  | InputKind
  | `${InputKind}?`
  | `out ${OutputKind}`
  | `inout ${CountKind}`
  | `memory ${string}`;

/**
 * - Codes, which become a {@link DllCallError} when they tell of a failure: `HRESULT` and `NTSTATUS` (negative),
 *   `WIN32_ERROR` and `CONFIGRET` (not 0), `BOOL` (0) and `SOCKET_ERROR` (not 0), both with the thread's last error,
 *   which is Winsock's too.
 * - `HRESULT or pending`: as an HRESULT, but ERROR_VMCOMPUTE_OPERATION_PENDING (0xC0370103) is no failure; the
 *   results have `pending` for it.
 * - A handle: null, or all ones for a `SOCKET` and also for a `HANDLE`, becomes an error with the thread's last error.
 * - `HANDLE?` and its like, numbers and addresses: come back as they are.
 */
export type ReturnKind =
  | 'void'
  | 'HRESULT'
  | 'HRESULT or pending'
  | 'NTSTATUS'
  | 'WIN32_ERROR'
  | 'CONFIGRET'
  | 'BOOL'
  | 'SOCKET_ERROR'
  | 'DWORD'
  | 'INT'
  | 'UINT64'
  | 'ADDRESS'
  | HandleName
  | `${HandleName}?`;

export interface Procedure {
  returns: ReturnKind;
  /** In the order of the C prototype. */
  parameters: Readonly<Record<string, ParameterKind>>;
  /** First build of Windows that has it. @default that of the DLL */
  build?: number;
  /**
   * Called on the main thread, with the result at once: for procedures that never wait, and for those that
   * act on the calling thread. All others run on a thread of libuv's pool and give a promise. `optional` is for
   * one that waits in some states only: it runs on the pool, and its `now` at once, which saves changing threads.
   * @default false
   */
  immediate?: boolean | 'optional';
  /** What it is for, in a few words. */
  purpose: string;
}

export interface Dll {
  /** File name, as the loader of Windows looks for it. */
  file: string;
  /** First build of Windows that has it. */
  build: number;
  /** What the prototypes and builds were taken from. */
  source: string;
  procedures: Readonly<Record<string, Procedure>>;
}

type InputType<Kind> = Kind extends keyof InputTypes
  ? InputTypes[Kind]
  : Kind extends HandleName
    ? Handle<Kind>
    : never;

type OutputType<Kind> = Kind extends keyof OutputTypes
  ? OutputTypes[Kind]
  : Kind extends HandleName
    ? Handle<Kind>
    : never;

type Parameters<P extends Procedure> = P['parameters'];

/** What a call takes, by the names of its parameters. */
export type Inputs<P extends Procedure> = {
  [K in keyof Parameters<P> as Parameters<P>[K] extends `out ${string}` | `${string}?`
    ? never
    : K]: Parameters<P>[K] extends `inout ${infer Kind}`
    ? OutputType<Kind>
    : Parameters<P>[K] extends `memory ${string}`
      ? Memory
      : InputType<Parameters<P>[K]>;
} & {
  [K in keyof Parameters<P> as Parameters<P>[K] extends `${string}?` ? K : never]?:
    | (Parameters<P>[K] extends `${infer Kind}?` ? InputType<Kind> : never)
    | null
    | undefined;
};

type OutputKeys<P extends Procedure> = {
  [K in keyof Parameters<P>]: Parameters<P>[K] extends `out ${string}` | `inout ${string}` ? K : never;
}[keyof Parameters<P>];

type OutputFields<P extends Procedure> = {
  [K in OutputKeys<P>]: Parameters<P>[K] extends `out ${infer Kind}` | `inout ${infer Kind}`
    ? OutputType<Kind>
    : never;
};

type ReturnType<Kind extends ReturnKind> = Kind extends `${infer Name extends HandleName}?`
  ? Handle<Name> | null
  : Kind extends HandleName
    ? Handle<Kind>
    : Kind extends 'DWORD' | 'INT'
      ? number
      : Kind extends 'UINT64' | 'ADDRESS'
        ? bigint
        : undefined;

/** What a call gives: its out parameters by name, or where it has none, what it returns. */
export type Outputs<P extends Procedure> = [OutputKeys<P>] extends [never]
  ? ReturnType<P['returns']>
  : P['returns'] extends 'HRESULT or pending'
    ? OutputFields<P> & { pending: boolean }
    : OutputFields<P>;

/** Procedures of a DLL as functions: `await HcsStartComputeSystem({ computeSystem, operation })`. */
export type BoundDll<D extends Dll> = {
  readonly [Name in keyof D['procedures']]: BoundProcedure<D['procedures'][Name]>;
};

type Immediate<P extends Procedure> = (inputs: Inputs<P>) => Outputs<P>;
type Pooled<P extends Procedure> = (inputs: Inputs<P>) => Promise<Outputs<P>>;

type BoundProcedure<P extends Procedure> = P extends { immediate: true }
  ? Immediate<P>
  : P extends { immediate: 'optional' }
    ? Pooled<P> & { readonly now: Immediate<P> }
    : Pooled<P>;
