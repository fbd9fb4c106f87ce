import { constants, openSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { addEntropy, setClock, setHostname, streamFromFd } from '@hcsshim/linux';
import type { AgentLog } from './agent-log.ts';

const portName = 'org.hcsshim.bootstrap';

/** Without a host at the other end the port reads as ended: then it is opened again, soon at first. */
const reopenDelays = { least: 5, most: 200 };

/** What a host may say, one JSON object a line. */
interface HostCommand {
  command?: unknown;
  /** Milliseconds since 1970. */
  time?: unknown;
  /** Base64. */
  entropy?: unknown;
  hostname?: unknown;
}

export interface BootstrapEvents {
  /** The VM goes on from a saved state: clock, entropy and name are renewed, the host is to be dialled again. */
  onWake: () => void;
  onShutdown: () => void;
}

/**
 * The virtio serial port by which a host wakes a VM that was saved before it had a vsock device. To the host:
 * `{"event":"ready"}` once the agent can be saved. From the host: `{"command":"wake",…}`,
 * `{"command":"shutdown"}` and `{"command":"crash"}`.
 */
export class BootstrapChannel {
  readonly #device: string;
  readonly #log: AgentLog;
  readonly #events: BootstrapEvents;
  #port: Socket | undefined;
  #ready = false;

  private constructor(device: string, log: AgentLog, events: BootstrapEvents) {
    this.#device = device;
    this.#log = log;
    this.#events = events;
  }

  /** Undefined when the VM has no such port. */
  static open(log: AgentLog, events: BootstrapEvents): BootstrapChannel | undefined {
    const device = findPort('/sys/class/virtio-ports');
    if (device === undefined) return undefined;
    const channel = new BootstrapChannel(device, log, events);
    void channel.#run();
    return channel;
  }

  /** Tells the host, and every host that comes, that the agent is up. */
  ready(): void {
    this.#ready = true;
    this.#port?.write('{"event":"ready"}\n');
  }

  async #run(): Promise<never> {
    let delay = reopenDelays.least;
    for (;;) {
      try {
        if (await this.#serve()) delay = reopenDelays.least;
      } catch (error) {
        this.#log.write('debug', 'Bootstrap channel', { error: String(error) });
      }
      await sleep(delay);
      delay = Math.min(delay * 2, reopenDelays.most);
    }
  }

  /** One opening of the port, until its end. True when a host has said something. */
  async #serve(): Promise<boolean> {
    const port = streamFromFd(openSync(this.#device, constants.O_RDWR | constants.O_NONBLOCK));
    this.#port = port;
    port.on('error', () => port.destroy());
    let heard = false;
    try {
      if (this.#ready) this.ready();
      for await (const line of createInterface({ input: port, crlfDelay: Number.POSITIVE_INFINITY })) {
        heard = true;
        this.#obey(line);
      }
      return heard;
    } finally {
      this.#port = undefined;
      port.destroy();
    }
  }

  #obey(line: string): void {
    let command: HostCommand;
    try {
      command = JSON.parse(line) as HostCommand;
    } catch {
      this.#log.write('warning', 'A line on the bootstrap channel is not JSON');
      return;
    }
    if (command.command === 'wake') {
      renewIdentity(command, this.#log);
      this.#events.onWake();
    } else if (command.command === 'shutdown') {
      this.#events.onShutdown();
    } else if (command.command === 'crash') {
      crashKernel(this.#log);
    } else {
      this.#log.write('warning', 'Unknown command on the bootstrap channel');
    }
  }
}

/** The kernel panics, tells its pvpanic device, and does not return (kernel Documentation/admin-guide/sysrq.rst). */
function crashKernel(log: AgentLog): void {
  try {
    writeFileSync('/proc/sysrq-trigger', 'c');
  } catch (error) {
    log.write('error', 'Cannot crash the kernel', { error: String(error) });
  }
}

/** Clones of one saved VM must not share what has to be unique. */
function renewIdentity({ time, entropy, hostname }: HostCommand, log: AgentLog): void {
  const steps: [string, () => void][] = [
    ['clock', () => typeof time === 'number' && setClock(time)],
    ['entropy', () => typeof entropy === 'string' && addEntropy(Buffer.from(entropy, 'base64'))],
    ['host name', () => typeof hostname === 'string' && hostname !== '' && setHostname(hostname)],
  ];
  for (const [what, step] of steps) {
    try {
      step();
    } catch (error) {
      log.write('error', `Cannot renew the ${what}`, { error: String(error) });
    }
  }
}

function findPort(directory: string): string | undefined {
  try {
    const name = readdirSync(directory).find(
      (port) => readFileSync(join(directory, port, 'name'), 'utf8').trim() === portName,
    );
    return name && `/dev/${name}`;
  } catch {
    return undefined;
  }
}
