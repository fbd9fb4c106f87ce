import type { Duplex } from 'node:stream';
import type { HvListener, HvSocket } from '@hcsshim/bridge';
import type { ComputeService, ComputeSystem } from '../compute-service.ts';
import type { ContractHarness } from './harness.ts';

/** A promise of the Host Compute Service, kept or broken by an implementation. */
export type ContractTest = (harness: TestHarness) => Promise<void>;

/** The harness as one test has it: what the test opens is closed at its end, if the test has not done so. */
export interface TestHarness extends Omit<ContractHarness, typeof Symbol.asyncDispose> {
  /**
   * Waits for something that may never come; when the test's patience ends, its failure says so.
   *
   * @param what To follow "waiting for".
   */
  awaited<T>(what: string, work: Promise<T>): Promise<T>;
}

/**
 * Runs a test and closes what it has opened. One that takes longer than `patience`, in milliseconds, fails then
 * with what it waited for, and what it has opened is closed as well: an open handle could keep the process alive.
 */
export async function runContractTest(
  test: ContractTest,
  harness: ContractHarness,
  patience: number,
): Promise<void> {
  await using opened = new Opened();
  const { promise: tooLong, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => reject(new Error(`Nothing came within ${patience / 1000} s, ${opened.pendingInWords()}`)),
    patience,
  );
  try {
    await Promise.race([test(testHarness(harness, opened)), tooLong]);
  } finally {
    clearTimeout(timer);
  }
}

/** What a test has opened, and what it waits for. */
class Opened implements AsyncDisposable {
  readonly #stack = new AsyncDisposableStack();
  readonly #systems: ComputeSystem[] = [];
  readonly #awaited = new Set<string>();

  pendingInWords(): string {
    const calls = this.#systems.flatMap((system) => system.pendingOperations());
    const pending = [...this.#awaited, ...calls];
    return pending.length === 0 ? 'in a call of the test' : `waiting for ${pending.join(', ')}`;
  }

  async awaited<T>(what: string, work: Promise<T>): Promise<T> {
    this.#awaited.add(what);
    try {
      return await work;
    } finally {
      this.#awaited.delete(what);
    }
  }

  async system(creating: Promise<ComputeSystem>): Promise<ComputeSystem> {
    const system = await this.#own(await creating);
    this.#systems.push(system);
    return system;
  }

  async listener(listening: Promise<HvListener>): Promise<HvListener> {
    const listener = await this.#own(await listening);
    return {
      port: listener.port,
      accept: (options) => this.connection(listener.accept(options)),
      [Symbol.asyncDispose]: () => listener[Symbol.asyncDispose](),
    };
  }

  async connection(connecting: Promise<Duplex>): Promise<Duplex> {
    const connection = await connecting;
    await this.#own({
      [Symbol.asyncDispose]: async () => {
        connection.destroy();
      },
    });
    return connection;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack.disposeAsync();
  }

  /** What comes after the test's end is closed at once. */
  async #own<T extends AsyncDisposable>(resource: T): Promise<T> {
    if (this.#stack.disposed) await resource[Symbol.asyncDispose]();
    else this.#stack.use(resource);
    return resource;
  }
}

function testHarness(harness: ContractHarness, opened: Opened): TestHarness {
  const { programs } = harness;
  return {
    compute: owningCompute(harness.compute, opened),
    sockets: owningSockets(harness.sockets, opened),
    id: (name) => harness.id(name),
    document: (changes) => harness.document(changes),
    createDisk: () => harness.createDisk(),
    killMonitor: (id) => harness.killMonitor(id),
    createElsewhere: (id, document) => harness.createElsewhere(id, document),
    sweep: () => harness.sweep(),
    ...(programs === undefined ? {} : { programs }),
    leftovers: () => harness.leftovers(),
    awaited: (what, work) => opened.awaited(what, work),
  };
}

function owningCompute(compute: ComputeService, opened: Opened): ComputeService {
  return {
    create: (id, document, options) => opened.system(compute.create(id, document, options)),
    open: (id, options) => opened.system(compute.open(id, options)),
    enumerate: (query, options) => compute.enumerate(query, options),
    getServiceProperties: (query, options) => compute.getServiceProperties(query, options),
    modifyServiceSettings: (request, options) => compute.modifyServiceSettings(request, options),
  };
}

function owningSockets(sockets: HvSocket, opened: Opened): HvSocket {
  return {
    listen: (vmId, port) => opened.listener(sockets.listen(vmId, port)),
    connect: (vmId, port, options) => opened.connection(sockets.connect(vmId, port, options)),
  };
}
