import {
  type CallOptions,
  type ComputeService,
  type ComputeSystem,
  HcsError,
  type SystemExit,
} from '@hcsshim/hcs';
import {
  type ComputeSystemDocument,
  type ComputeSystemQuery,
  HResult,
  isHcsError,
  type ModifySettingRequest,
  type PropertyQuery,
} from '@hcsshim/schema';
import type { Answer, Backend, Call, Completion, Tell } from './stand-in-service.ts';

const systemExited = 1;

/**
 * Puts a Host Compute Service behind the stand-in DLL: what a program under Wine does with `computecore.dll`
 * then happens in that service. Calls that its port does not have are answered with E_NOTIMPL.
 */
export function computeServiceBackend(compute: ComputeService): (tell: Tell) => Backend {
  return (tell) => new ComputeServiceBackend(compute, tell);
}

class ComputeServiceBackend implements Backend {
  readonly #compute: ComputeService;
  readonly #tell: Tell;
  /** By number; one that is still being created is a promise. Each handle has a number of its own. */
  readonly #systems = new Map<number, Promise<ComputeSystem>>();
  /** Those that run, by number. */
  readonly #operations = new Map<number, AbortController>();
  #lastTarget = 0;

  constructor(compute: ComputeService, tell: Tell) {
    this.#compute = compute;
    this.#tell = tell;
  }

  async answer({ name, operation, target, strings }: Call): Promise<Answer> {
    const [first = null, second = null] = strings;
    switch (name) {
      case 'HcsCreateComputeSystem':
        return this.#create(operation, first ?? '', second ?? '');
      case 'HcsOpenComputeSystem':
        return this.#open(first ?? '');
      case 'HcsEnumerateComputeSystems':
        return this.#begin(operation, async (options) =>
          this.#compute.enumerate(optional<ComputeSystemQuery>(first) ?? {}, options),
        );
      case 'HcsCancelOperation':
        this.#operations.get(Number(first))?.abort(cancelled());
        return {};
    }
    const opening = this.#systems.get(target);
    if (opening === undefined) return { result: HResult.ERROR_INVALID_HANDLE };
    if (name === 'HcsCloseComputeSystem') {
      this.#systems.delete(target);
      await close(opening);
      return {};
    }
    if (name === 'HcsWaitForComputeSystemExit') {
      return { document: exitDocument(await (await opening).wait()) };
    }
    const work = systemCalls[name];
    if (work === undefined) return { result: HResult.E_NOTIMPL };
    return this.#begin(operation, async (options) => work(await opening, options, first));
  }

  /** The program has ended: with it, its handles close. */
  async disconnected(): Promise<void> {
    const systems = [...this.#systems.values()];
    this.#systems.clear();
    await Promise.all(systems.map(close));
  }

  /** Runs what an operation does, until that has ended or is cancelled. */
  #begin(operation: number, work: (options: CallOptions) => Promise<unknown>): Answer {
    const controller = new AbortController();
    this.#operations.set(operation, controller);
    const completion = Promise.try(work, { signal: controller.signal }).then(success, failure);
    void completion.then(() => this.#operations.delete(operation));
    return { completion };
  }

  #create(operation: number, id: string, configuration: string): Answer {
    const created = Promise.withResolvers<ComputeSystem>();
    const target = this.#keep(created.promise);
    const answer = this.#begin(operation, async (options) => {
      created.resolve(
        Promise.try(async () =>
          this.#compute.create(id, required<ComputeSystemDocument>(configuration), options),
        ),
      );
      await created.promise;
    });
    return { ...answer, target };
  }

  async #open(id: string): Promise<Answer> {
    const opening = this.#compute.open(id);
    try {
      await opening;
    } catch (error) {
      return failure(error);
    }
    return { target: this.#keep(opening) };
  }

  #keep(opening: Promise<ComputeSystem>): number {
    const target = ++this.#lastTarget;
    this.#systems.set(target, opening);
    opening
      .then((system) => system.wait())
      .then((exit) => this.#tell(systemExited, target, exitDocument(exit)))
      // A system that could not be made, or whose handle was closed first, has no exit to be told.
      .catch(() => {});
    return target;
  }
}

type SystemCall = (system: ComputeSystem, options: CallOptions, text: string | null) => Promise<unknown>;

const systemCalls: Record<string, SystemCall> = {
  HcsStartComputeSystem: (system, options) => system.start(options),
  HcsShutDownComputeSystem: (system, options) => system.shutdown(options),
  HcsTerminateComputeSystem: (system, options) => system.terminate(options),
  HcsPauseComputeSystem: (system, options) => system.pause(options),
  HcsResumeComputeSystem: (system, options) => system.resume(options),
  HcsGetComputeSystemProperties: (system, options, query) =>
    system.getProperties(optional<PropertyQuery>(query), options),
  HcsModifyComputeSystem: (system, options, request) =>
    system.modify(required<ModifySettingRequest>(request ?? ''), options),
};

function cancelled(): HcsError {
  return new HcsError({
    action: 'Cannot complete an operation',
    problem: 'it was cancelled',
    code: 'ERROR_CANCELLED',
  });
}

function success(value: unknown): Completion {
  return { document: value === undefined || value === null ? null : JSON.stringify(value) };
}

/** As the service does it: the code, and a document with the words (`ResultError` of Microsoft's schema). */
function failure(error: unknown): { result: number; document: string } {
  const result = isHcsError(error) ? error.hresult : HResult.E_FAIL;
  const message = isHcsError(error) ? error.problem : String(error);
  return { result, document: JSON.stringify({ Error: result | 0, ErrorMessage: message }) };
}

/** `SystemExitStatus` of Microsoft's schema. It has no words, only names of reasons. */
function exitDocument({ type }: SystemExit): string {
  if (type !== 'UnexpectedExit') return JSON.stringify({ Status: 0, ExitType: type });
  const WorkerExit = { Type: 'UnexpectedStop', Detail: 'ProcessUnexpectedExit', Initiator: 'Internal' };
  return JSON.stringify({
    Status: HResult.HCS_E_UNEXPECTED_EXIT | 0,
    ExitType: type,
    Attribution: [{ WorkerExit }],
  });
}

async function close(opening: Promise<ComputeSystem>): Promise<void> {
  const system = await opening.catch(() => undefined);
  await system?.[Symbol.asyncDispose]();
}

/** Documents are checked by the service; here they only must be JSON. Files are where the service has them. */
function required<T>(text: string): T {
  return JSON.parse(text, (_key, value) => (typeof value === 'string' ? linuxPath(value) : value)) as T;
}

/** Drive Z: of Wine is the root of Linux. */
function linuxPath(text: string): string {
  return /^Z:\\/i.test(text) ? text.slice(2).replaceAll('\\', '/') : text;
}

function optional<T>(text: string | null): T | undefined {
  return text === null ? undefined : required<T>(text);
}
