import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { HResult } from '@hcsshim/schema';
import { isLayerCall, MemoryLayers } from './memory-layers.ts';
import { MemoryNetworks } from './memory-networks.ts';
import { exitCodeOfSignal, MemoryProcess } from './memory-process.ts';
import type { Answer, Backend, Call, Completion, StandardStream, Tell } from './stand-in-service.ts';

/** `HCS_EVENT_TYPE`. */
const systemExited = 1;
const processExited = 0x10000;
const serviceDisconnect = 0x02000000;

/** In milliseconds. */
const lateness = 400;

type State = 'Created' | 'Running' | 'Paused' | 'Stopped';

interface System {
  id: string;
  owner: string;
  type: 'VirtualMachine' | 'Container';
  state: State;
  handles: Set<number>;
  processes: Set<MemoryProcess>;
  terminateOnLastClose: boolean;
  exit: PromiseWithResolvers<string>;
}

/** Each handle has a number of its own. */
interface SystemHandle {
  system: System;
  /** Signals to processes of this handle, which wait for one another. */
  signals: Promise<unknown>;
}

interface ProcessHandle {
  process: MemoryProcess;
  system: SystemHandle;
}

/**
 * Misbehaviour, asked for with `{"Fault":"never"}` in a call's document, or where no such field is let pass, with
 * a text `"fault: never"` in any other:
 * - `refused`: the call fails. `failed`: its operation does, with an error document.
 * - `never`: the operation never ends. `twice`, `storm`: the DLL calls back 2 or 50 times.
 * - `no handle`: success, but a null handle. `not json`: success, with a result that is no JSON.
 * - `unknown code`: the operation fails with a code that nobody knows.
 * - `odd events`: an event of an unknown type, one without a structure, then the real end of the call.
 * - `disconnect`: every handle hears that the service has gone, although it has not.
 * - `late`: the operation takes 400 ms.
 * - `pending`, `at once`: `vmcompute.dll` leaves the call pending, or waits for its end, whatever it does otherwise.
 * - `fails later`: as `failed`, and left pending.
 */
export type Fault =
  | 'refused'
  | 'failed'
  | 'never'
  | 'twice'
  | 'storm'
  | 'no handle'
  | 'not json'
  | 'unknown code'
  | 'odd events'
  | 'disconnect'
  | 'late'
  | 'pending'
  | 'at once'
  | 'fails later';

class Refused extends Error {
  readonly result: number;
  constructor(result: number) {
    super(`refused with ${result.toString(16)}`);
    this.result = result;
  }
}

/** Systems and processes that exist in memory alone, with the states and codes of the Host Compute Service. */
export function memoryBackend(tell: Tell): Backend {
  const host = new MemoryHost(tell);
  return {
    answer: async (call) => {
      try {
        return await host.answer(call);
      } catch (error) {
        if (error instanceof Refused) return { result: error.result };
        throw error;
      }
    },
    stream: (target, which, socket) => host.stream(target, which, socket),
  };
}

let lastTarget = 0;
let lastPid = 1000;

const next: Record<string, { from: State; to: State }> = {
  HcsStartComputeSystem: { from: 'Created', to: 'Running' },
  HcsPauseComputeSystem: { from: 'Running', to: 'Paused' },
  HcsResumeComputeSystem: { from: 'Paused', to: 'Running' },
  HcsSaveComputeSystem: { from: 'Paused', to: 'Paused' },
};

const endings: Record<string, string> = {
  HcsShutDownComputeSystem: 'GracefulExit',
  HcsTerminateComputeSystem: 'ForcedExit',
  HcsCrashComputeSystem: 'UnexpectedExit',
};

/** Calls that only note what they were given, and succeed. */
const noted = new Set([
  'HcsModifyComputeSystem',
  'HcsInitializeLiveMigrationOnSource',
  'HcsStartLiveMigrationOnSource',
  'HcsStartLiveMigrationTransfer',
  'HcsFinalizeLiveMigration',
  'HcsCancelLiveMigration',
]);

/** Calls without operation that give the strings they got back as a document. */
const echoed = new Set([
  'HcsGetServiceProperties',
  'HcsModifyServiceSettings',
  'HcsGetProcessorCompatibilityFromSavedState',
  'HcsSubmitWerReport',
  'HcsCreateEmptyGuestStateFile',
  'HcsCreateEmptyRuntimeStateFile',
  'HcsGrantVmAccess',
  'HcsRevokeVmAccess',
  'HcsGrantVmGroupAccess',
  'HcsRevokeVmGroupAccess',
]);

class MemoryHost {
  readonly #tell: Tell;
  readonly #systems = new Map<number, SystemHandle>();
  readonly #processes = new Map<number, ProcessHandle>();
  /** Those that run although no handle is open. */
  readonly #unheld = new Set<System>();
  readonly #networks = new MemoryNetworks();
  readonly #layers = new MemoryLayers();

  constructor(tell: Tell) {
    this.#tell = tell;
  }

  async answer(call: Call): Promise<Answer> {
    const fault = faultOf(call);
    if (fault === 'refused') throw new Refused(HResult.E_ACCESSDENIED);
    if (fault === 'odd events') {
      this.#tell(0x7abcdef0, call.target, 'no JSON {');
      this.#tell(-1, call.target, null);
    }
    if (fault === 'disconnect') this.#tell(serviceDisconnect, 0, null);
    const answer = await this.#carryOut(call);
    if (fault === 'no handle') return { ...answer, target: 0 };
    if (answer.completion === undefined || fault === undefined) return answer;
    if (fault === 'pending') return { ...answer, pending: 1 };
    if (fault === 'fails later')
      return { ...answer, pending: 1, completion: spoil(answer.completion, 'failed') };
    if (fault === 'at once') return { ...answer, pending: 0 };
    return { ...answer, completion: spoil(answer.completion, fault) };
  }

  async #carryOut(call: Call): Promise<Answer> {
    const [first = null] = call.strings;
    const { name } = call;
    // Whoever gives up is answered, and what was given up goes on.
    if (name === 'HcsCancelOperation') return {};
    if (name === 'HNSCall') return { document: this.#networks.answer(call.strings) };
    if (isLayerCall(name)) return this.#layers.answer(name, call.strings);
    const document = serviceAnswer(name, parse(first));
    if (document !== undefined) return { document };
    if (echoed.has(name)) return { document: JSON.stringify(call.strings) };
    if (name.startsWith('HcsCreateComputeSystem')) return this.#create(first ?? '', call.strings[1] ?? '');
    if (name.startsWith('HcsOpenComputeSystem')) return this.#open(first ?? '');
    if (name.startsWith('HcsEnumerateComputeSystems')) return done(this.#list());
    const process = this.#processes.get(call.target);
    if (process !== undefined) return this.#answerProcess(call, process);
    const system = this.#systems.get(call.target);
    if (system === undefined) throw new Refused(HResult.ERROR_INVALID_HANDLE);
    return this.#answerSystem(call, system);
  }

  async #answerSystem({ name, target, strings }: Call, handle: SystemHandle): Promise<Answer> {
    const [first = null] = strings;
    const { system } = handle;
    if (name === 'HcsCloseComputeSystem') return this.#close(target, system);
    if (name === 'HcsWaitForComputeSystemExit') return { document: await system.exit.promise };
    if (system.state === 'Stopped') throw new Refused(HResult.HCS_E_SYSTEM_ALREADY_STOPPED);
    if (name === 'HcsModifyComputeSystem') this.#tellAsked(system, parse(first) ?? {});
    if (noted.has(name)) return done(null);
    if (name === 'HcsGetComputeSystemProperties') return done(propertiesOf(system, first));
    if (name === 'HcsCreateProcess') return this.#createProcess(handle, parse(first) ?? {});
    if (name === 'HcsOpenProcess') return this.#openProcess(handle, Number(first));
    const transition = next[name];
    if (transition !== undefined) {
      if (system.state !== transition.from) throw new Refused(HResult.HCS_E_INVALID_STATE);
      system.state = transition.to;
      return done(null);
    }
    const exitType = endings[name];
    if (exitType === undefined) throw new Refused(HResult.E_NOTIMPL);
    if (name === 'HcsShutDownComputeSystem' && system.owner === 'stubborn') return done(null);
    if (name === 'HcsCrashComputeSystem') this.#tellAll(system, 2, JSON.stringify({ SystemId: system.id }));
    this.#end(system, exitType);
    return done(null);
  }

  async #answerProcess({ name, target, strings }: Call, handle: ProcessHandle): Promise<Answer> {
    const { process } = handle;
    const options = parse(strings[0] ?? null) ?? {};
    switch (name) {
      case 'HcsCloseProcess':
        this.#processes.delete(target);
        return {};
      case 'HcsWaitForProcessExit':
        return { document: await process.exit.promise };
      case 'HcsGetProcessInfo':
        return {
          target,
          completion: Promise.resolve({ processId: process.pid, streams: process.streams }),
        };
      case 'HcsGetProcessProperties':
        return done(JSON.stringify({ ...process.status, ConsoleSize: process.consoleSize }));
      case 'HcsModifyProcess':
        if (process.hasExited) throw new Refused(HResult.HCS_E_PROCESS_ALREADY_STOPPED);
        if (options.Operation === 'ConsoleSize') process.consoleSize = options.ConsoleSize;
        if (options.Operation === 'CloseHandle') process.closeInputSoon();
        return done(null);
      case 'HcsSignalProcess':
        return this.#signal(handle, exitCodeOfSignal(options), process.program === 'deaf');
      case 'HcsTerminateProcess':
        if (process.program === 'refuse') throw new Refused(HResult.E_ACCESSDENIED);
        return this.#signal(handle, 137, false);
      default:
        throw new Refused(HResult.E_NOTIMPL);
    }
  }

  /** In its turn: the signals of a handle to a system wait for one another. */
  #signal({ process, system }: ProcessHandle, exitCode: number, never: boolean): Answer {
    if (process.program === 'vanish') throw new Refused(HResult.ERROR_NOT_FOUND);
    if (process.hasExited) throw new Refused(HResult.HCS_E_PROCESS_ALREADY_STOPPED);
    const completion = system.signals.then(async (): Promise<Completion> => {
      if (never) await new Promise(() => {});
      process.end(exitCode);
      return { document: null };
    });
    system.signals = completion;
    return { completion };
  }

  #create(id: string, configuration: string): Answer {
    if (this.#find(id) !== undefined) throw new Refused(HResult.HCS_E_SYSTEM_ALREADY_EXISTS);
    const document = parse(configuration);
    if (document === undefined) throw new Refused(HResult.HCS_E_INVALID_JSON);
    const system: System = {
      id,
      owner: String(document.Owner ?? ''),
      type: document.Container === undefined ? 'VirtualMachine' : 'Container',
      state: 'Created',
      handles: new Set(),
      processes: new Set(),
      terminateOnLastClose: document.ShouldTerminateOnLastHandleClosed === true,
      exit: Promise.withResolvers(),
    };
    return { ...done(null), target: this.#handleTo(system) };
  }

  #open(id: string): Answer {
    const system = this.#find(id);
    if (system === undefined) throw new Refused(HResult.HCS_E_SYSTEM_NOT_FOUND);
    if (system.owner === 'sealed') throw new Refused(HResult.E_ACCESSDENIED);
    return { target: this.#handleTo(system) };
  }

  #handleTo(system: System): number {
    const target = ++lastTarget;
    system.handles.add(target);
    this.#unheld.delete(system);
    this.#systems.set(target, { system, signals: Promise.resolve() });
    return target;
  }

  #close(target: number, system: System): Answer {
    this.#systems.delete(target);
    system.handles.delete(target);
    if (system.handles.size === 0 && system.terminateOnLastClose && system.state !== 'Stopped')
      this.#end(system, 'ForcedExit');
    if (system.handles.size === 0 && system.state !== 'Stopped') this.#unheld.add(system);
    return {};
  }

  #createProcess(handle: SystemHandle, parameters: Record<string, unknown>): Answer {
    const { system } = handle;
    if (system.state !== 'Running') throw new Refused(HResult.HCS_E_INVALID_STATE);
    const target = ++lastTarget;
    const process = new MemoryProcess(++lastPid, parameters, (data) => {
      for (const [number, one] of this.#processes)
        if (one.process === process) this.#tell(processExited, number, data);
    });
    system.processes.add(process);
    this.#processes.set(target, { process, system: handle });
    const completion = Promise.resolve({ processId: process.pid, streams: process.streams });
    return { completion, target };
  }

  stream(target: number, which: StandardStream, socket: Socket): boolean {
    const handle = this.#processes.get(target);
    handle?.process.attach(which, socket);
    return handle !== undefined;
  }

  #openProcess(handle: SystemHandle, pid: number): Answer {
    const process = [...handle.system.processes].find((one) => one.pid === pid && !one.hasExited);
    if (process === undefined) throw new Refused(HResult.ERROR_NOT_FOUND);
    const target = ++lastTarget;
    this.#processes.set(target, { process, system: handle });
    return { target };
  }

  #end(system: System, exitType: string): void {
    system.state = 'Stopped';
    this.#unheld.delete(system);
    for (const process of system.processes) if (process.program !== 'vanish') process.end(137);
    const data = JSON.stringify({ Status: 0, ExitType: exitType });
    system.exit.resolve(data);
    this.#tellAll(system, systemExited, data);
  }

  #tellAll(system: System, type: number, data: string | null): void {
    for (const target of system.handles) this.#tell(type, target, data);
  }

  /** A request with `"ResourcePath": "event: 3"` has the event told, with its settings as document. */
  #tellAsked(system: System, { ResourcePath, Settings }: Record<string, unknown>): void {
    const [, type] = /^event: (\d+)$/.exec(String(ResourcePath)) ?? [];
    if (type !== undefined) this.#tellAll(system, Number(type), JSON.stringify(Settings) ?? null);
  }

  get #running(): Set<System> {
    const held = [...this.#systems.values()].map(({ system }) => system);
    return new Set([...held, ...this.#unheld].filter(({ state }) => state !== 'Stopped'));
  }

  #find(id: string): System | undefined {
    return [...this.#running].find((system) => system.id === id);
  }

  #list(): string {
    return JSON.stringify([...this.#running].map(({ id, state }) => ({ Id: id, State: state })));
  }
}

/** Base properties, and what the query asks for of schema 1 or 2. */
function propertiesOf({ id, state, owner, type, processes }: System, query: string | null): string {
  const types = parse(query)?.PropertyTypes;
  const asked = Array.isArray(types) ? types : [];
  const Statistics = {
    Timestamp: '2024-01-02T03:04:05Z',
    Uptime100ns: 17,
    Processor: { TotalRuntime100ns: 5 },
  };
  const more: Record<string, unknown> = {
    Statistics: { Statistics: owner === 'odd properties' ? 7 : Statistics },
    ProcessList: { ProcessList: [...processes].map(({ pid }) => ({ ProcessId: pid, ImageName: 'memory' })) },
    MappedVirtualDisk: {
      MappedVirtualDiskControllers: { 0: { MappedVirtualDisks: { 0: { HostPath: 'C:\\a.vhdx' } } } },
    },
    GuestConnection: { GuestConnectionInfo: { ProtocolVersion: 4 } },
  };
  const base = { Id: id, SystemType: type, State: state, Query: query };
  return JSON.stringify(Object.assign(base, ...asked.map((type) => more[String(type)])));
}

/** Of a query or request that says what it is about; others are echoed. */
function serviceAnswer(name: string, document: Record<string, unknown> | undefined): string | undefined {
  const { PropertyTypes, PropertyType } = document ?? {};
  if (name === 'HcsGetServiceProperties' && Array.isArray(PropertyTypes))
    return JSON.stringify({ Properties: PropertyTypes.map((type) => ({ Asked: type })) });
  if (name === 'HcsModifyServiceSettings' && PropertyType !== undefined)
    return JSON.stringify({ Changed: PropertyType });
  return undefined;
}

function done(document: string | null, processId?: number): Answer {
  return { completion: Promise.resolve({ document, ...(processId === undefined ? {} : { processId }) }) };
}

function parse(text: string | null): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text ?? 'null');
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

function faultOf({ strings }: Call): Fault | undefined {
  for (const text of strings) {
    const [, fault] = /"(?:Fault":"|fault: )([a-z ]+)"/.exec(text ?? '') ?? [];
    if (fault !== undefined) return fault as Fault;
  }
  return undefined;
}

async function spoil(completion: Promise<Completion>, fault: Fault): Promise<Completion> {
  const end = await completion;
  switch (fault) {
    case 'never':
      return { ...end, times: 0 };
    case 'twice':
      return { ...end, times: 2 };
    case 'storm':
      return { ...end, times: 50 };
    case 'late':
      await sleep(lateness);
      return end;
    case 'failed':
      return {
        result: HResult.E_FAIL,
        document: JSON.stringify({ ErrorMessage: 'as asked for', ErrorEvents: [{ Message: 'By a test.' }] }),
      };
    case 'unknown code':
      return { result: 0x8badf00d, document: null };
    case 'not json':
      return { ...end, document: '\ud800 no JSON \u{1f600} {"' };
    default:
      return end;
  }
}
