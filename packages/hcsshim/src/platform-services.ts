import { join } from 'node:path';
import type { HvSocket } from '@hcsshim/bridge';
import type { MonitorKind } from '@hcsshim/engine';
import type { NetworkService } from '@hcsshim/hcn';
import type { ComputeService } from '@hcsshim/hcs';
import { HcsError } from '@hcsshim/schema';
import { cacheDirectory, stateDirectory } from './directories.ts';
import { defaultEngine, type EngineName } from './engine-name.ts';
import { guestAgentCommand } from './installation.ts';

/** What stands for the Host Compute Service: an engine of ours on Linux, and Windows' own. */
export type ServiceName = EngineName | 'windows';

/** The services of a machine. Disposing them ends what this process has created on Linux. */
export interface PlatformServices extends AsyncDisposable {
  readonly name: ServiceName;
  readonly compute: ComputeService;
  readonly sockets: HvSocket;
  /** Loads the Host Compute Network, which most programs have no use for. */
  readonly openNetwork: () => Promise<NetworkService>;
  /** Whether VMs have a guest without boot files, as the sandbox's have. */
  readonly hasGuest: boolean;
}

export interface ServiceOptions {
  /**
   * Linux only: what stands for HCS.
   * @default `$HCSSHIM_ENGINE`, else `qemu`
   */
  engine?: EngineName;
  /** QEMU only: whether to start VMs from templates. @default true */
  templates?: boolean;
  /** QEMU only. @default 'auto': KVM when it really works */
  accelerator?: 'auto' | 'kvm' | 'tcg';
  /** Receives what a user may want to know of the engine, a sentence at a time. @default dropped */
  log?: (sentence: string) => void;
}

/** Opens the services of the operating system that this runs on. Loads those alone. */
export async function openServices(options: ServiceOptions): Promise<PlatformServices> {
  if (process.platform === 'win32') return openWindowsServices(options);
  if (process.platform === 'linux') return openLinuxServices(options);
  throw new HcsError({
    action: `Cannot open the platform "${process.platform}"`,
    problem: 'there is no Host Compute Service on it, use Windows or Linux',
    code: 'ERROR_NOT_SUPPORTED',
  });
}

async function openWindowsServices({ engine }: ServiceOptions): Promise<PlatformServices> {
  if (engine !== undefined) {
    throw new HcsError({
      action: `Cannot use the ${engine} engine`,
      problem: 'it runs on Linux only, leave it out to use the Host Compute Service of Windows',
      code: 'ERROR_NOT_SUPPORTED',
    });
  }
  const [{ createWindowsComputeService }, { createWindowsHvSocket }] = await Promise.all([
    import('@hcsshim/hcs/windows'),
    import('@hcsshim/bridge/windows'),
  ]);
  return {
    name: 'windows',
    compute: createWindowsComputeService(),
    sockets: createWindowsHvSocket(),
    openNetwork: async () => (await import('@hcsshim/hcn/windows')).createWindowsNetworkService(),
    hasGuest: false,
    // Windows keeps the systems; each handle has an owner of its own.
    [Symbol.asyncDispose]: async () => {},
  };
}

async function openLinuxServices(options: ServiceOptions): Promise<PlatformServices> {
  const engine = options.engine ?? defaultEngine();
  const [{ createLinuxComputeService }, monitor] = await Promise.all([
    import('@hcsshim/engine'),
    monitorKind(engine, options),
  ]);
  const { compute, sockets, ...services } = createLinuxComputeService({
    monitor,
    stateDirectory: stateDirectory(),
    ...(options.log ? { log: options.log } : {}),
  });
  return {
    name: engine,
    compute,
    sockets,
    openNetwork: async () => {
      const { createLinuxNetworkService } = await import('@hcsshim/engine/network');
      return createLinuxNetworkService({
        stateDirectory: stateDirectory(),
        ...(options.log ? { log: options.log } : {}),
      });
    },
    hasGuest: engine === 'sandbox',
    [Symbol.asyncDispose]: () => services[Symbol.asyncDispose](),
  };
}

/** Loads only the engine that is used: a shim pays for every module in memory. */
async function monitorKind(engine: EngineName, options: ServiceOptions): Promise<MonitorKind> {
  if (engine === 'sandbox') {
    const { createSandboxMonitorKind } = await import('@hcsshim/engine/sandbox');
    return createSandboxMonitorKind({ agentCommand: guestAgentCommand() });
  }
  const { createQemuMonitorKind } = await import('@hcsshim/engine/qemu');
  return createQemuMonitorKind({
    cacheDirectory: cacheDirectory(),
    accelerator: options.accelerator ?? 'auto',
    ...(options.log ? { log: options.log } : {}),
    templates: options.templates === false ? false : { directory: join(cacheDirectory(), 'templates') },
  });
}
