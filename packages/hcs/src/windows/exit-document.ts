import { describeHresult, type ExitType, HResult, hresultName } from '@hcsshim/schema';
import type {
  AttributionRecord,
  SystemExitDetail,
  SystemExitStatus,
  WorkerExitDetail,
} from '@hcsshim/schema/hcs';
import type { SystemExit } from '../compute-service.ts';

const wordsByType: Record<ExitType, string> = {
  GracefulExit: 'it shut down',
  ForcedExit: 'it was terminated',
  UnexpectedExit: 'it ended unexpectedly',
  Unknown: 'the Host Compute Service does not say how',
};

const wordsByWorkerExit: Partial<Record<WorkerExitDetail, string>> = {
  PowerOff: 'the guest powered off',
  PowerOffCritical: 'the guest powered off in an emergency',
  Reset: 'the guest reset itself',
  GuestCrash: 'the guest crashed',
  GuestFirmwareCrash: "the guest's firmware crashed",
  TripleFault: 'a processor of the guest ran into a triple fault',
  ProcessUnexpectedExit: 'its worker process crashed or was killed',
  InitializationFailure: 'its worker process could not set it up',
  InitializationStartTimeout: 'its worker process took too long to set it up',
};

const wordsBySystemExit: Partial<Record<SystemExitDetail, string>> = {
  HcsApiFatalError: 'a call ran into a fatal error',
  ServiceStop: 'the Host Compute Service stopped',
  Shutdown: 'it was shut down',
  Terminate: 'it was terminated',
  UnexpectedExit: 'it ended unexpectedly',
};

/**
 * Reads the document of an event `HcsEventSystemExited` (`SystemExitStatus`). Whatever it holds, the system has
 * ended: from one that cannot be read comes an exit of type `Unknown`.
 */
export function readExitDocument(data: string | null): SystemExit {
  return exitOf(parse(data));
}

/** As {@link readExitDocument}, of the fields alone, which a stopped system's properties share. */
export function exitOf({ Status, ExitType, Attribution }: SystemExitStatus): SystemExit {
  const status = typeof Status === 'number' ? Status >>> 0 : undefined;
  const type = exitType(ExitType, status);
  const words = Array.isArray(Attribution)
    ? Attribution.map(attributionWords).find((text) => text !== undefined)
    : undefined;
  const code = status === undefined || status === HResult.S_OK ? '' : `, ${describeHresult(status)}`;
  return { type, reason: `${words ?? wordsByType[type]}${code}` };
}

/** Builds before 18362 give a status alone. */
function exitType(told: unknown, status: number | undefined): ExitType {
  if (typeof told === 'string' && Object.hasOwn(wordsByType, told)) return told as ExitType;
  if (told !== undefined || status === undefined) return 'Unknown';
  if (status === HResult.S_OK) return 'GracefulExit';
  return hresultName(status) === 'HCS_E_TERMINATED' ? 'ForcedExit' : 'UnexpectedExit';
}

function attributionWords(record: AttributionRecord | null): string | undefined {
  const { WorkerExit, GuestCrash, TripleFault, OperationFailure, SystemExit, VirtualDeviceFailure } =
    record ?? {};
  if (GuestCrash) return wordsByWorkerExit.GuestCrash;
  if (TripleFault) return wordsByWorkerExit.TripleFault;
  if (VirtualDeviceFailure) return `its device ${VirtualDeviceFailure.Name ?? 'of unknown name'} failed`;
  if (OperationFailure?.Detail) return `an operation failed: ${OperationFailure.Detail}`;
  if (WorkerExit?.Detail)
    return wordsByWorkerExit[WorkerExit.Detail] ?? `its worker process ended: ${WorkerExit.Detail}`;
  return SystemExit?.Detail && wordsBySystemExit[SystemExit.Detail];
}

function parse(data: string | null): SystemExitStatus {
  try {
    return (JSON.parse(data ?? '{}') as SystemExitStatus | null) ?? {};
  } catch {
    return {};
  }
}
