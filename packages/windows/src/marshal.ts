import { DllCallError, type StatusKind } from './dll-call-error.ts';
import { guidFromBytes, guidToBytes } from './guid.ts';
import type {
  Dll,
  Handle,
  HandleName,
  InputKind,
  OutputKind,
  ParameterKind,
  Procedure,
  ProcessInformation,
} from './procedure.ts';

/** Reads and frees a string that a DLL has allocated, by its address. */
export interface StringOwner {
  takeLocalString(address: bigint): string;
  takeCoTaskMemString(address: bigint): string;
}

/** A type of koffi's, all of the same size as the one in the C prototype on 64-bit Windows. */
type NativeType =
  | 'void'
  | 'void *'
  | 'const char16_t *'
  | 'const char *'
  | `${'u' | ''}int${8 | 16 | 32 | 64}`;

interface InputCodec {
  native: NativeType;
  /** Throws a TypeError for a value of another type. */
  encode(value: unknown): unknown;
}

interface OutputCodec {
  bytes: number;
  decode(memory: Buffer, owner: StringOwner): unknown;
}

const handleNames: Record<HandleName, true> = {
  HANDLE: true,
  SOCKET: true,
  HCS_SYSTEM: true,
  HCS_PROCESS: true,
  HCS_OPERATION: true,
  HCS_CALLBACK: true,
  HCN_NETWORK: true,
  HCN_ENDPOINT: true,
  HCN_NAMESPACE: true,
  HCN_LOADBALANCER: true,
  HCN_ROUTE: true,
  HKEY: true,
  HPCON: true,
  ORHKEY: true,
  CIMFS_IMAGE_HANDLE: true,
  CIMFS_STREAM_HANDLE: true,
};

function isHandleName(kind: string): kind is HandleName {
  return Object.hasOwn(handleNames, kind);
}

/** UTF-16 and ANSI strings end at the first NUL: one inside would cut the rest off unseen. */
function text(value: unknown): string {
  if (typeof value !== 'string') throw new TypeError(`not a string but ${typeof value}`);
  if (value.includes('\0')) throw new TypeError('a string with a NUL character in it');
  return value;
}

function integer(min: number, max: number): (value: unknown) => number {
  return (value) => {
    if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max) return value;
    throw new TypeError(`not an integer from ${min} to ${max} but ${String(value)}`);
  };
}

function unsigned64(value: unknown): bigint {
  if (typeof value === 'bigint' && value >= 0n && value < 1n << 64n) return value;
  throw new TypeError(`not a bigint of 64 bits but ${String(value)}`);
}

function handle(value: unknown): bigint {
  const address = unsigned64(value);
  if (address === 0n) throw new TypeError('a null handle');
  return address;
}

function flag(value: unknown): number {
  if (typeof value !== 'boolean') throw new TypeError(`not a boolean but ${typeof value}`);
  return value ? 1 : 0;
}

function memory(value: unknown): Uint8Array | bigint | null {
  if (value === null || value instanceof Uint8Array) return value;
  return unsigned64(value);
}

const inputs: Record<Exclude<InputKind, HandleName>, InputCodec> = {
  PCWSTR: { native: 'const char16_t *', encode: text },
  PCSTR: { native: 'const char *', encode: text },
  DWORD: { native: 'uint32', encode: integer(0, 0xffffffff) },
  INT: { native: 'int32', encode: integer(-0x80000000, 0x7fffffff) },
  USHORT: { native: 'uint16', encode: integer(0, 0xffff) },
  UINT64: { native: 'uint64', encode: unsigned64 },
  SIZE_T: { native: 'uint64', encode: unsigned64 },
  BOOL: { native: 'int32', encode: flag },
  BOOLEAN: { native: 'uint8', encode: flag },
  GUID: { native: 'void *', encode: (value) => guidToBytes(text(value)) },
  CONTEXT: { native: 'uint64', encode: unsigned64 },
  CALLBACK: { native: 'uint64', encode: handle },
  ADDRESS: { native: 'uint64', encode: unsigned64 },
};

const outputs: Record<Exclude<OutputKind, HandleName>, OutputCodec> = {
  DWORD: { bytes: 4, decode: (bytes) => bytes.readUInt32LE() },
  INT: { bytes: 4, decode: (bytes) => bytes.readInt32LE() },
  UINT64: { bytes: 8, decode: (bytes) => bytes.readBigUInt64LE() },
  SIZE_T: { bytes: 8, decode: (bytes) => bytes.readBigUInt64LE() },
  BOOL: { bytes: 4, decode: (bytes) => bytes.readInt32LE() !== 0 },
  GUID: { bytes: 16, decode: (bytes) => guidFromBytes(bytes) },
  ADDRESS: { bytes: 8, decode: (bytes) => bytes.readBigUInt64LE() },
  HCS_PROCESS_INFORMATION: { bytes: 32, decode: processInformation },
  LocalString: {
    bytes: 8,
    decode: (bytes, owner) => takeString(bytes, (address) => owner.takeLocalString(address)),
  },
  CoTaskMemString: {
    bytes: 8,
    decode: (bytes, owner) => takeString(bytes, (address) => owner.takeCoTaskMemString(address)),
  },
};

/** `DWORD ProcessId, Reserved; HANDLE StdInput, StdOutput, StdError` (computedefs.h). */
function processInformation(bytes: Buffer): ProcessInformation {
  const pipe = (offset: number) => {
    const value = bytes.readBigUInt64LE(offset);
    return value === 0n ? null : (value as Handle<'HANDLE'>);
  };
  return { processId: bytes.readUInt32LE(0), stdInput: pipe(8), stdOutput: pipe(16), stdError: pipe(24) };
}

function takeString(bytes: Buffer, take: (address: bigint) => string): string | null {
  const address = bytes.readBigUInt64LE();
  return address === 0n ? null : take(address);
}

interface ParameterPlan {
  name: string;
  native: NativeType;
  /** @default never null */
  optional?: boolean;
  encode?: (value: unknown) => unknown;
  output?: OutputCodec;
  isHandle?: boolean;
}

function planParameter(name: string, kind: ParameterKind): ParameterPlan {
  if (kind.startsWith('memory ')) return { name, native: 'void *', encode: memory };
  if (kind.startsWith('out ')) {
    const outKind = kind.slice('out '.length) as OutputKind;
    const output = isHandleName(outKind) ? outputs.ADDRESS : outputs[outKind];
    return { name, native: 'void *', output, isHandle: isHandleName(outKind) };
  }
  if (kind.startsWith('inout ')) {
    const count = kind.slice('inout '.length) as 'DWORD' | 'SIZE_T';
    return { name, native: 'void *', encode: inputs[count].encode, output: outputs[count] };
  }
  const optional = kind.endsWith('?');
  const inputKind = (optional ? kind.slice(0, -1) : kind) as InputKind;
  const codec = isHandleName(inputKind) ? { native: 'uint64' as const, encode: handle } : inputs[inputKind];
  return { name, native: codec.native, encode: codec.encode, optional };
}

/** How a return value is declared, and what it tells. */
const codes: Record<string, { native: NativeType; kind: StatusKind; failed: (code: number) => boolean }> = {
  HRESULT: { native: 'int32', kind: 'HRESULT', failed: (code) => code < 0 },
  NTSTATUS: { native: 'int32', kind: 'NTSTATUS', failed: (code) => code < 0 },
  WIN32_ERROR: { native: 'uint32', kind: 'WIN32_ERROR', failed: (code) => code !== 0 },
  CONFIGRET: { native: 'uint32', kind: 'CONFIGRET', failed: (code) => code !== 0 },
};

/** A call on its way: what koffi gets, and the memory that the DLL writes its out parameters to. */
export interface PreparedCall {
  values: unknown[];
  memories: (Buffer | undefined)[];
}

/** Turns the arguments of one procedure into what the DLL takes, and what it gives into results or errors. */
export class Marshaller {
  readonly returns: NativeType;
  readonly parameters: NativeType[];
  readonly #dll: string;
  readonly #name: string;
  readonly #procedure: Procedure;
  readonly #plan: ParameterPlan[];

  constructor(dll: Dll, name: string, procedure: Procedure) {
    this.#dll = dll.file;
    this.#name = name;
    this.#procedure = procedure;
    this.#plan = Object.entries(procedure.parameters).map(([parameter, kind]) =>
      planParameter(parameter, kind),
    );
    this.parameters = this.#plan.map(({ native }) => native);
    this.returns = nativeReturn(procedure.returns);
  }

  /** Whether a failure is told by the thread's last error, which must be read at once. */
  get usesLastError(): boolean {
    const { returns } = this.#procedure;
    return returns === 'BOOL' || returns === 'SOCKET_ERROR' || isHandleName(returns);
  }

  /** Throws a TypeError that names procedure and parameter when a value does not fit. */
  prepare(arguments_: Readonly<Record<string, unknown>>): PreparedCall {
    const call: PreparedCall = { values: [], memories: [] };
    for (const plan of this.#plan) {
      const value = this.#encode(plan, arguments_[plan.name]);
      const memory = plan.output && Buffer.alloc(plan.output.bytes);
      if (typeof value === 'bigint') memory?.writeBigUInt64LE(value);
      else if (typeof value === 'number') memory?.writeUInt32LE(value);
      call.values.push(memory ?? value);
      call.memories.push(memory);
    }
    return call;
  }

  /**
   * Reads what a call has given; every string is freed, whether the call succeeded or not.
   *
   * @param lastError The thread's last error, for procedures that use it.
   */
  finish(call: PreparedCall, returned: unknown, lastError: number, owner: StringOwner): unknown {
    const results: Record<string, unknown> = {};
    let document: string | null = null;
    let nullHandle: string | undefined;
    for (const [index, { name, output, isHandle }] of this.#plan.entries()) {
      const memory = call.memories[index];
      if (output === undefined || memory === undefined) continue;
      const value = output.decode(memory, owner);
      results[name] = value;
      if (typeof value === 'string' && document === null) document = value;
      if (isHandle && value === 0n) nullHandle = name;
    }
    this.#throwIfFailed(returned, lastError, document);
    if (nullHandle !== undefined) {
      throw new Error(
        `Cannot use what "${this.#name}" of "${this.#dll}" gave: it reported success without a "${nullHandle}"`,
      );
    }
    return Object.keys(results).length > 0 ? results : this.#value(returned);
  }

  #encode({ name, native, optional, encode }: ParameterPlan, value: unknown): unknown {
    if (encode === undefined) return undefined;
    if (optional && (value === undefined || value === null)) return native === 'uint64' ? 0n : null;
    try {
      return encode(value);
    } catch (error) {
      throw new TypeError(`Cannot call "${this.#name}": "${name}" is ${(error as Error).message}`, {
        cause: error,
      });
    }
  }

  #throwIfFailed(returned: unknown, lastError: number, document: string | null): void {
    const failure = { dll: this.#dll, procedure: this.#name, document };
    const code = codes[this.#procedure.returns];
    if (code !== undefined) {
      const status = Number(returned);
      if (code.failed(status)) throw new DllCallError({ ...failure, kind: code.kind, status });
    } else if (
      this.usesLastError &&
      isFailure(this.#procedure.returns, BigInt(returned as number | bigint))
    ) {
      throw new DllCallError({ ...failure, kind: 'WIN32_ERROR', status: lastError });
    }
  }

  #value(returned: unknown): unknown {
    const { returns } = this.#procedure;
    if (returns === 'DWORD' || returns === 'INT') return returned;
    if (returns === 'UINT64' || returns === 'ADDRESS' || isHandleName(returns))
      return BigInt(returned as number | bigint);
    if (!returns.endsWith('?')) return undefined;
    const value = BigInt(returned as number | bigint);
    return value === 0n ? null : value;
  }
}

/** Whether a value tells that the thread's last error says why there is no other. */
function isFailure(kind: Procedure['returns'], returned: bigint): boolean {
  if (kind === 'SOCKET') return returned === allOnes;
  if (kind === 'HANDLE' && returned === allOnes) return true;
  return kind === 'SOCKET_ERROR' ? returned !== 0n : returned === 0n;
}

/** `INVALID_SOCKET` (winsock2.h) and `INVALID_HANDLE_VALUE` (handleapi.h). */
const allOnes = (1n << 64n) - 1n;

function nativeReturn(kind: Procedure['returns']): NativeType {
  const code = codes[kind];
  if (code !== undefined) return code.native;
  if (kind === 'void') return 'void';
  if (kind === 'BOOL' || kind === 'SOCKET_ERROR' || kind === 'INT') return 'int32';
  return kind === 'DWORD' ? 'uint32' : 'uint64';
}
