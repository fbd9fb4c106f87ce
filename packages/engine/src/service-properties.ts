import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { HcsError } from '@hcsshim/hcs';
import {
  type BasicInformation,
  checkDocument,
  type GetPropertyType,
  type LogicalProcessor,
  type ProcessorTopology,
  type PropertyResponse,
  type QoSCapabilities,
  type ServiceProperties,
  type ServicePropertyQuery,
} from '@hcsshim/schema/hcs';

const action = 'Cannot read properties of the Host Compute Service';

/** What can be told of a Linux host in the documents that Microsoft has published. */
const answers: Partial<Record<GetPropertyType, () => unknown>> = {
  // Every document of schema 2 is read; what in it Linux cannot do is refused by name.
  Basic: (): BasicInformation => ({ SupportedSchemaVersions: [{ Major: 2, Minor: 1 }] }),
  ProcessorTopology: () => readProcessorTopology(),
  // Neither monitor limits or weighs processors.
  QoSCapabilities: (): QoSCapabilities => ({ ProcessorQoSSupported: false }),
};

/** Why the others cannot be. */
const refusals: Partial<Record<GetPropertyType, string>> = {
  Memory: 'its document is not published; read /proc/meminfo',
  CpuGroup: 'CPU groups are the hypervisor of Windows; use cgroups',
  ContainerCredentialGuard: 'credential guard instances need a Windows host',
};

/** Throws ERROR_NOT_SUPPORTED for a property type that Linux has not, HCS_E_INVALID_JSON for no property type. */
export function readServiceProperties(query: ServicePropertyQuery): ServiceProperties {
  const { PropertyTypes, PropertyQueries } = checkDocument('ServicePropertyQuery', query);
  return {
    ...(PropertyTypes && { Properties: PropertyTypes.map(answerTo) }),
    ...(PropertyQueries && {
      PropertyResponses: Object.fromEntries(
        Object.keys(PropertyQueries).map((type) => [type, respondTo(type as GetPropertyType)]),
      ),
    }),
  };
}

function answerTo(type: GetPropertyType): unknown {
  const answer = Object.hasOwn(answers, type) ? answers[type] : undefined;
  if (answer !== undefined) return answer();
  const why = (Object.hasOwn(refusals, type) && refusals[type]) || 'Linux has nothing of the kind';
  throw new HcsError({ action, problem: `property "${type}": ${why}`, code: 'ERROR_NOT_SUPPORTED' });
}

/** Queries by name are answered one by one, an error where its answer would be. */
function respondTo(type: GetPropertyType): PropertyResponse {
  try {
    return { Response: answerTo(type) };
  } catch (error) {
    if (!(error instanceof HcsError)) throw error;
    return { Error: { Error: error.hresult | 0, ErrorMessage: error.problem } };
  }
}

/** The processors that are online, from sysfs (kernel Documentation/admin-guide/cputopology.rst). */
export function readProcessorTopology(root = '/sys/devices/system/cpu'): ProcessorTopology {
  const processors = readdirSync(root)
    .map((name) => /^cpu(\d+)$/.exec(name)?.[1])
    .filter((number) => number !== undefined)
    .map(Number)
    .sort((one, other) => one - other)
    .map((index) => readProcessor(root, index))
    .filter((processor) => processor !== undefined);
  return { LogicalProcessorCount: processors.length, LogicalProcessors: processors };
}

/** Undefined for one that is offline: it has no topology. */
function readProcessor(root: string, index: number): LogicalProcessor | undefined {
  const directory = join(root, `cpu${index}`);
  try {
    const number = (name: string): number =>
      Number(readFileSync(join(directory, 'topology', name), 'latin1'));
    const node = readdirSync(directory)
      .map((name) => /^node(\d+)$/.exec(name)?.[1])
      .find((found) => found !== undefined);
    return {
      LpIndex: index,
      NodeNumber: Number(node ?? 0),
      PackageId: Math.max(0, number('physical_package_id')),
      CoreId: number('core_id'),
    };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
