import type { BridgeServer, GuestHandlers, GuestRequestContext } from '@hcsshim/bridge';
import {
  type ExecuteProcessRequest,
  type GuestNotification,
  type GuestProcessParameters,
  type GuestProperties,
  type GuestRequestBase,
  HcsError,
  type ModifySettingsRequest,
  parseContainerConfig,
  parseGuestProcessParameters,
  parseGuestPropertyQuery,
  type SchemaVersion,
  utilityVmId,
} from '@hcsshim/schema';
import type { Container } from '../containers/container.ts';
import type { ContainerRegistry } from '../containers/container-registry.ts';
import type { GuestProcess } from '../processes/guest-process.ts';
import type { StdioPorts } from '../processes/stdio.ts';
import type { VmProcesses } from '../processes/vm-processes.ts';
import type { ScsiBus } from '../storage/scsi-bus.ts';
import { applyModification, vmModifiers } from './modifications.ts';
import { stackReport } from './stack-report.ts';

const SIGKILL = 9;
const oldestSchema: SchemaVersion = { Major: 2, Minor: 1 };

export interface GuestHostServices {
  containers: ContainerRegistry;
  processes: VmProcesses;
  scsi: ScsiBus;
  /** Where notifications go. */
  bridge: Pick<BridgeServer, 'publish'>;
  /** Ends the VM; does not return. */
  powerOff: () => Promise<void>;
  /** A notification reached no host. */
  onLostNotification: (notification: GuestNotification, error: unknown) => void;
}

/** What each message of the protocol does. */
export function guestHandlers(services: GuestHostServices): GuestHandlers {
  const { containers, processes, scsi } = services;
  const modifiers = vmModifiers(scsi);
  const processOf = ({ ContainerId, ProcessId }: GuestRequestBase & { ProcessId: number }): GuestProcess =>
    ContainerId === utilityVmId ? processes.get(ProcessId) : containers.get(ContainerId).process(ProcessId);

  const shutdown = async (
    { ContainerId }: GuestRequestBase,
    { quit }: GuestRequestContext,
    how: 'graceful' | 'forced',
  ): Promise<void> => {
    if (ContainerId !== utilityVmId) {
      await containers.get(ContainerId).shutdown(how);
      return;
    }
    // The end of the VM is the answer.
    await quit();
    await services.powerOff();
  };

  return {
    async Create({ ContainerId, ActivityId, ContainerConfig }) {
      const config = parseContainerConfig(ContainerConfig);
      checkSchema(ContainerId, config.SchemaVersion);
      const container = await containers.create(ContainerId, config);
      void notifyOfEnd(services, container, ActivityId);
      return {};
    },
    // A container's first process starts with ExecuteProcess, which brings its stdio.
    async Start() {},
    ShutdownGraceful: (request, context) => shutdown(request, context, 'graceful'),
    ShutdownForced: (request, context) => shutdown(request, context, 'forced'),
    async ExecuteProcess({ ContainerId, Settings }) {
      const parameters = parseGuestProcessParameters(Settings.ProcessParameters);
      const ports = stdioPorts(parameters, Settings);
      if (ContainerId === utilityVmId || parameters.CreateInUtilityVM) {
        return { ProcessId: await processes.start(parameters, ports) };
      }
      const container = containers.get(ContainerId);
      const { OciProcess } = parameters;
      return { ProcessId: await (OciProcess ? container.exec(OciProcess, ports) : container.start(ports)) };
    },
    async WaitForProcess(request) {
      return { ExitCode: await processOf(request).wait(request.TimeoutInMs) };
    },
    async SignalProcess(request) {
      const signal = request.Options?.Signal || SIGKILL;
      if (request.ContainerId === utilityVmId) processes.get(request.ProcessId).kill(signal);
      else containers.get(request.ContainerId).signal(request.ProcessId, signal);
    },
    async ResizeConsole(request) {
      processOf(request).resize({ columns: request.Width, rows: request.Height });
    },
    async GetProperties({ ContainerId, Query }) {
      const { PropertyTypes = [] } = parseGuestPropertyQuery(Query);
      if (ContainerId === utilityVmId) {
        throw new HcsError({
          action: 'Cannot get the properties of the VM',
          problem: 'the guest knows only those of containers, ask the platform',
          code: 'ERROR_NOT_SUPPORTED',
        });
      }
      const container = containers.get(ContainerId);
      const properties: GuestProperties = {};
      if (PropertyTypes.includes('ProcessList')) {
        const pids = await container.processIds();
        properties.ProcessList = pids.map((pid) => ({ ProcessId: pid }));
      }
      if (PropertyTypes.includes('Statistics')) properties.LCOWMetrics = container.metrics();
      return { Properties: JSON.stringify(properties) };
    },
    ModifySettings: (request) =>
      request.ContainerId === utilityVmId || request.Request.ResourceType !== 'ContainerConstraints'
        ? modifyVm(modifiers, request)
        : containers.get(request.ContainerId).update(request.Request.Settings),
    async DumpStacks() {
      return { GuestStacks: stackReport() };
    },
    DeleteContainerState: ({ ContainerId }) => containers.delete(ContainerId),
  };
}

async function modifyVm(
  modifiers: ReturnType<typeof vmModifiers>,
  { ContainerId, Request }: ModifySettingsRequest,
): Promise<void> {
  if (ContainerId !== utilityVmId) {
    throw new HcsError({
      action: `Cannot change the ${Request.ResourceType} of container "${ContainerId}"`,
      problem: 'only ContainerConstraints can be changed, address the others to the VM',
      code: 'ERROR_NOT_SUPPORTED',
    });
  }
  await applyModification(modifiers, Request);
}

/** The ports of the streams that the host asks for. */
function stdioPorts(
  parameters: GuestProcessParameters,
  { VsockStdioRelaySettings: ports = {} }: ExecuteProcessRequest['Settings'],
): StdioPorts {
  const { StdIn = 0, StdOut = 0, StdErr = 0 } = ports;
  return {
    ...(parameters.CreateStdInPipe ? { stdin: StdIn } : {}),
    ...(parameters.CreateStdOutPipe ? { stdout: StdOut } : {}),
    ...(parameters.CreateStdErrPipe ? { stderr: StdErr } : {}),
  };
}

function checkSchema(id: string, { Major, Minor }: SchemaVersion): void {
  if (Major > oldestSchema.Major || (Major === oldestSchema.Major && Minor >= oldestSchema.Minor)) return;
  throw new HcsError({
    action: `Cannot create container "${id}"`,
    problem: `schema version ${Major}.${Minor} is older than ${oldestSchema.Major}.${oldestSchema.Minor}`,
    code: 'HCS_E_INVALID_JSON',
  });
}

/** A container that was deleted meanwhile is unknown to the host, to which a notification of it would be an error. */
async function notifyOfEnd(
  { containers, bridge, onLostNotification }: GuestHostServices,
  container: Container,
  activity: string | undefined,
): Promise<void> {
  const type = await container.ended;
  if (!containers.has(container)) return;
  const notification: GuestNotification = {
    ContainerId: container.id,
    ...(activity === undefined ? {} : { ActivityId: activity }),
    Type: type,
    Operation: 'None',
    Result: 0,
  };
  try {
    await bridge.publish(notification);
  } catch (error) {
    onLostNotification(notification, error);
  }
}
