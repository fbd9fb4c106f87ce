import { type ChildProcess, spawn } from 'node:child_process';
import type { Duplex, Readable } from 'node:stream';
import { HcsError, type SystemExit } from '@hcsshim/hcs';
import { diesWithOwner } from '../dies-with-owner.ts';
import { BootstrapChannel } from './bootstrap-channel.ts';
import { BoundedText } from './bounded-text.ts';
import { InheritedFd } from './command-line.ts';
import { explainEnd, telltaleEvents } from './exit-reason.ts';
import { QmpClient, QmpClosedError, type QmpEvent } from './qmp.ts';

export interface VirtualMachineOptions {
  /** Path of QEMU. */
  program: string;
  /** From `buildCommandLine`. */
  arguments: string[];
  /** Descriptor of a file that holds the guest's memory. Stays open here. */
  memoryFd: number;
  /** Descriptor of the state that an incoming VM takes up. Stays open here. */
  stateFd?: number;
  signal?: AbortSignal | undefined;
  /** Called as soon as the process runs, so that it is known should its owner die. */
  onLaunch: (vm: VirtualMachine) => void;
}

const errorLimit = 16 * 1024;
const consoleLimit = 64 * 1024;
/** In milliseconds. QEMU answers within 0.1 s; this is for a host under load. */
const greetingTimeout = 60_000;
const quitTimeout = 3000;
const mostTelltales = 16;

/**
 * One QEMU process and the three lines to it: QMP, the bootstrap channel, the console. It speaks to nobody
 * else: all three are socket pairs, so nothing is left in the file system, and the kernel kills QEMU when
 * the process that started it dies.
 */
export class VirtualMachine {
  readonly pid: number;
  readonly bootstrap: BootstrapChannel;
  /** Resolves once, when QEMU has ended; never rejects. */
  readonly exited: Promise<SystemExit>;
  readonly #child: ChildProcess;
  readonly #console = new BoundedText(consoleLimit);
  readonly #errors = new BoundedText(errorLimit);
  readonly #telltales: QmpEvent[] = [];
  #qmp: QmpClient | undefined;
  #terminated = false;

  private constructor(child: ChildProcess) {
    this.#child = child;
    this.pid = child.pid as number;
    this.bootstrap = new BootstrapChannel(lineTo(child, InheritedFd.bootstrap));
    const console = lineTo(child, InheritedFd.console);
    console.on('data', (bytes: Uint8Array) => this.#console.append(bytes));
    console.on('error', () => {});
    (child.stderr as Readable).on('data', (bytes: Uint8Array) => this.#errors.append(bytes));
    const { promise, resolve } = Promise.withResolvers<SystemExit>();
    this.exited = promise;
    // `close` comes when stderr and the console have been read to their ends, so that nothing is missed.
    child.on('close', (exitCode, signal) => {
      this.#qmp?.close();
      this.bootstrap.close();
      console.destroy();
      resolve(this.#explain(exitCode, signal));
    });
  }

  /**
   * Starts QEMU and waits until it answers; the guest runs then, unless it is incoming.
   * Throws HCS_E_UNEXPECTED_EXIT with QEMU's own words when it does not come up.
   */
  static async launch(options: VirtualMachineOptions): Promise<VirtualMachine> {
    options.signal?.throwIfAborted();
    const vm = new VirtualMachine(await spawnQemu(options));
    options.onLaunch(vm);
    try {
      await vm.#connect(options.signal);
      return vm;
    } catch (error) {
      await vm.terminate();
      throw options.signal?.aborted ? options.signal.reason : error;
    }
  }

  get qmp(): QmpClient {
    return this.#qmp as QmpClient;
  }

  /** The end of what the guest's kernel wrote to its console. */
  get consoleText(): string {
    return this.#console.toString();
  }

  /** The outcome of `work`, or HCS_E_UNEXPECTED_EXIT with the reason when the VM ends before. */
  async orEnd<T>(action: string, work: Promise<T>): Promise<T> {
    const ended = this.exited.then(({ reason }) => {
      throw new HcsError({ action, problem: reason, code: 'HCS_E_UNEXPECTED_EXIT' });
    });
    ended.catch(() => {});
    return Promise.race([work, ended]);
  }

  /** Ends QEMU: asks it by QMP, and kills it when it does not end soon. Resolves when it has ended. */
  async terminate(): Promise<void> {
    this.#terminated = true;
    if (this.#qmp) {
      this.#qmp.execute('quit', {}, { timeout: quitTimeout }).catch(() => this.#child.kill('SIGKILL'));
      const kill = setTimeout(() => this.#child.kill('SIGKILL'), quitTimeout);
      await this.exited;
      clearTimeout(kill);
    } else {
      this.#child.kill('SIGKILL');
      await this.exited;
    }
  }

  async #connect(signal: AbortSignal | undefined): Promise<void> {
    const stream = lineTo(this.#child, InheritedFd.qmp);
    try {
      const onEvent = (event: QmpEvent): void => this.#keep(event);
      this.#qmp = await QmpClient.connect(stream, { signal, timeout: greetingTimeout, onEvent });
    } catch (error) {
      if (!(error instanceof QmpClosedError)) throw error;
      // QEMU is dying; what it says about it is the better error.
      const kill = setTimeout(() => this.#child.kill('SIGKILL'), quitTimeout);
      const { reason } = await this.exited;
      clearTimeout(kill);
      throw new HcsError({
        action: 'Cannot start QEMU',
        problem: reason,
        code: 'HCS_E_UNEXPECTED_EXIT',
        cause: error,
      });
    }
  }

  #keep(event: QmpEvent): void {
    // A guest can make QEMU send these as often as it likes.
    if (telltaleEvents.has(event.event) && this.#telltales.length < mostTelltales)
      this.#telltales.push(event);
  }

  #explain(exitCode: number | null, signal: NodeJS.Signals | null): SystemExit {
    return explainEnd({
      exitCode,
      signal,
      events: this.#telltales,
      errors: this.#errors.toString(),
      console: this.#console.toString(),
      terminated: this.#terminated,
    });
  }
}

/** Our end of the socket pair that QEMU inherits as `fd`. */
function lineTo(child: ChildProcess, fd: number): Duplex {
  return (child.stdio as unknown as Duplex[])[fd] as Duplex;
}

async function spawnQemu({
  program,
  arguments: args,
  memoryFd,
  stateFd,
}: VirtualMachineOptions): Promise<ChildProcess> {
  const command = diesWithOwner([program, ...args]);
  const child = spawn(command.program, command.args, {
    stdio: [
      'ignore',
      'ignore',
      'pipe',
      'pipe',
      'pipe',
      'pipe',
      memoryFd,
      ...(stateFd === undefined ? [] : [stateFd]),
    ],
  });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  child.once('spawn', resolve);
  child.once('error', reject);
  try {
    await promise;
    child.on('error', () => {});
    return child;
  } catch (error) {
    throw new HcsError({
      action: 'Cannot start QEMU',
      problem: 'setpriv cannot be run, install it (Debian package util-linux)',
      code: 'HCS_E_SERVICE_NOT_AVAILABLE',
      cause: error,
    });
  }
}
