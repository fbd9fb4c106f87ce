import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { HResult } from '@hcsshim/schema';
import { isLayerCall, MemoryLayers } from './memory-layers.ts';
import { MemoryNetworks } from './memory-networks.ts';
import type { Answer, Backend, Call, Completion, StandardStream, Tell } from './stand-in-service.ts';

/** `HCS_EVENT_TYPE`. */
const systemExited = 1;
const processExited = 0x10000;
const serviceDisconnect = 0x02000000;

/** In milliseconds. */
const lateness = 400;

/** All three standard streams. */
const catStreams = 0b111;

type State = 'Created' | 'Running' | 'Paused' | 'Stopped';

interface System {
  target: number;
  id: string;
  state: State;
  handles: number;
  terminateOnLastClose: boolean;
  exit: PromiseWithResolvers<string>;
}

interface GuestProcess {
  target: number;
  pid: number;
  system: System;
  exitCode: number | undefined;
  exit: PromiseWithResolvers<string>;
  /** Its standard streams, as they connect. */
  streams: PromiseWithResolvers<Socket>[];
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
  'HcsModifyProcess',
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
  readonly #systems = new Map<number, System>();
  readonly #processes = new Map<number, GuestProcess>();
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

  async #answerSystem({ name, strings }: Call, system: System): Promise<Answer> {
    const [first = null] = strings;
    if (name === 'HcsCloseComputeSystem') return this.#close(system);
    if (name === 'HcsWaitForComputeSystemExit') return { document: await system.exit.promise };
    if (system.state === 'Stopped') throw new Refused(HResult.HCS_E_SYSTEM_ALREADY_STOPPED);
    if (noted.has(name)) return done(null);
    if (name === 'HcsGetComputeSystemProperties') {
      return done(JSON.stringify({ Id: system.id, State: system.state, Query: first }));
    }
    if (name === 'HcsCreateProcess') return this.#createProcess(system, parse(first) ?? {});
    if (name === 'HcsOpenProcess') return this.#openProcess(system, Number(first));
    const transition = next[name];
    if (transition !== undefined) {
      if (system.state !== transition.from) throw new Refused(HResult.HCS_E_INVALID_STATE);
      system.state = transition.to;
      return done(null);
    }
    const exitType = endings[name];
    if (exitType === undefined) throw new Refused(HResult.E_NOTIMPL);
    this.#end(system, exitType);
    return done(null);
  }

  async #answerProcess({ name, strings }: Call, process: GuestProcess): Promise<Answer> {
    switch (name) {
      case 'HcsWaitForProcessExit':
        return { document: await process.exit.promise };
      case 'HcsGetProcessInfo':
        return done(null, process.pid);
      case 'HcsGetProcessProperties':
        return done(JSON.stringify({ ProcessId: process.pid, Exited: process.exitCode !== undefined }));
      case 'HcsModifyProcess':
        return done(JSON.stringify({ Settings: strings[0] }));
      case 'HcsSignalProcess':
      case 'HcsTerminateProcess':
        if (process.exitCode !== undefined) throw new Refused(HResult.HCS_E_PROCESS_ALREADY_STOPPED);
        this.#endProcess(process, name === 'HcsSignalProcess' ? 143 : 137);
        return done(null);
      default:
        throw new Refused(HResult.E_NOTIMPL);
    }
  }

  #create(id: string, configuration: string): Answer {
    if (this.#find(id) !== undefined) throw new Refused(HResult.HCS_E_SYSTEM_ALREADY_EXISTS);
    const document = parse(configuration);
    if (document === undefined) throw new Refused(HResult.HCS_E_INVALID_JSON);
    const system: System = {
      target: ++lastTarget,
      id,
      state: 'Created',
      handles: 1,
      terminateOnLastClose: document.ShouldTerminateOnLastHandleClosed === true,
      exit: Promise.withResolvers(),
    };
    this.#systems.set(system.target, system);
    return { ...done(null), target: system.target };
  }

  #open(id: string): Answer {
    const system = this.#find(id);
    if (system === undefined) throw new Refused(HResult.HCS_E_SYSTEM_NOT_FOUND);
    system.handles++;
    return { target: system.target };
  }

  #close(system: System): Answer {
    system.handles--;
    if (system.handles === 0 && system.terminateOnLastClose && system.state !== 'Stopped')
      this.#end(system, 'ForcedExit');
    if (system.handles === 0 && system.state === 'Stopped') this.#systems.delete(system.target);
    return {};
  }

  #createProcess(system: System, parameters: Record<string, unknown>): Answer {
    if (system.state !== 'Running') throw new Refused(HResult.HCS_E_INVALID_STATE);
    const target = ++lastTarget;
    const process = {
      target,
      pid: 1000 + target,
      system,
      exitCode: undefined,
      exit: Promise.withResolvers<string>(),
      streams: [0, 1, 2].map(() => Promise.withResolvers<Socket>()),
    };
    this.#processes.set(target, process);
    const streams = ['CreateStdInPipe', 'CreateStdOutPipe', 'CreateStdErrPipe']
      .map((name, which) => (parameters[name] === true ? 1 << which : 0))
      .reduce((all, one) => all | one);
    if (streams === catStreams) this.#runCat(process);
    const completion = Promise.resolve({ processId: process.pid, streams });
    return { completion, target };
  }

  stream(target: number, which: StandardStream, socket: Socket): boolean {
    const process = this.#processes.get(target);
    process?.streams[which]?.resolve(socket);
    return process !== undefined;
  }

  /** Every process with all three streams is a `cat`, which tells on its third how many bytes there were. */
  async #runCat(process: GuestProcess): Promise<void> {
    const [input, output, errors] = (await Promise.all(process.streams.map(({ promise }) => promise))) as [
      Socket,
      Socket,
      Socket,
    ];
    let bytes = 0;
    input.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
    });
    input.pipe(output);
    input.once('end', () => {
      input.end();
      errors.end(`${bytes} bytes`);
      this.#endProcess(process, 0);
    });
  }

  #openProcess(system: System, pid: number): Answer {
    const process = [...this.#processes.values()].find((one) => one.system === system && one.pid === pid);
    if (process === undefined) throw new Refused(HResult.ERROR_NOT_FOUND);
    return { target: process.target };
  }

  #end(system: System, exitType: string): void {
    system.state = 'Stopped';
    for (const process of this.#processes.values())
      if (process.system === system && process.exitCode === undefined) this.#endProcess(process, 137);
    const data = JSON.stringify({ Status: 0, ExitType: exitType });
    system.exit.resolve(data);
    this.#tell(systemExited, system.target, data);
  }

  #endProcess(process: GuestProcess, exitCode: number): void {
    process.exitCode = exitCode;
    const data = JSON.stringify({ ProcessId: process.pid, ExitCode: exitCode });
    process.exit.resolve(data);
    this.#tell(processExited, process.target, data);
  }

  #find(id: string): System | undefined {
    return [...this.#systems.values()].find((system) => system.id === id && system.state !== 'Stopped');
  }

  #list(): string {
    return JSON.stringify(
      [...this.#systems.values()]
        .filter(({ state }) => state !== 'Stopped')
        .map(({ id, state }) => ({ Id: id, State: state })),
    );
  }
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
