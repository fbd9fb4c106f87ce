import { HcsError } from '@hcsshim/schema';
import { type ContainerConfig, checkDocument } from '@hcsshim/schema/hcs-v1';
import type { CallOptions, ComputeService, ComputeSystem, ContainerDocument } from '../compute-service.ts';

/** Holds fields, as JSON, for every document that {@link containerDocument} makes. */
const additionalJson = 'HCSSHIM_CREATECONTAINER_ADDITIONALJSON';

/** Creates a container from a document of schema 1, which only Windows takes. It does not run yet. */
export async function createContainer(
  compute: ComputeService,
  id: string,
  config: ContainerConfig,
  options: CallOptions = {},
): Promise<ComputeSystem> {
  return compute.create(id, containerDocument(config), options);
}

/**
 * Makes a container's document, with what the environment variable HCSSHIM_CREATECONTAINER_ADDITIONALJSON adds to it or
 * changes: its objects are merged into those of `config`, other values replace them, as upstream does it. The variable
 * may have fields that no schema knows; `config` may not. Throws HCS_E_INVALID_JSON, and E_INVALIDARG for
 * a variable that is no JSON object.
 */
export function containerDocument(
  config: ContainerConfig,
  environment: Readonly<Record<string, string | undefined>> = process.env,
): ContainerDocument {
  checkDocument('ContainerConfig', config);
  const merged = merge(config as JsonObject, parseAddition(environment[additionalJson]));
  const document = checkDocument('ContainerConfig', merged, { allowUnknownFields: true });
  if (isContainerDocument(document)) return document;
  throw new HcsError({
    action: 'Cannot make a container of a document of schema 1',
    problem: 'it must have a SystemType, for example "Container", a Name, and no SchemaVersion',
    code: 'HCS_E_INVALID_JSON',
  });
}

/** Tells a document of schema 1 from one of schema 2. */
export function isContainerDocument(document: object): document is ContainerDocument {
  const { SystemType, Name, SchemaVersion } = document as Record<string, unknown>;
  return typeof SystemType === 'string' && typeof Name === 'string' && SchemaVersion === undefined;
}

type JsonObject = Readonly<Record<string, unknown>>;

function parseAddition(text: string | undefined): JsonObject {
  if (text === undefined || text === '') return {};
  const addition = ((): unknown => {
    try {
      return JSON.parse(text);
    } catch {
      return undefined;
    }
  })();
  if (isObject(addition)) return addition;
  throw new HcsError({
    action: `Cannot use ${additionalJson}`,
    problem: 'it is no JSON object, mend it or unset it',
    code: 'E_INVALIDARG',
  });
}

/** Objects are merged, a `null` leaves an object as it is, and anything else takes the place of what was there. */
function merge(base: JsonObject, addition: JsonObject): JsonObject {
  const added = Object.entries(addition).map(([name, value]): [string, unknown] => {
    const old = Object.hasOwn(base, name) ? base[name] : undefined;
    if (!isObject(old)) return [name, value];
    return [name, isObject(value) ? merge(old, value) : (value ?? old)];
  });
  // Made from entries, a field "__proto__" is a field like any other.
  return Object.fromEntries([...Object.entries(base), ...added]);
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
