import type { Resource } from './document-table.ts';
import { nearestName } from './nearest-name.ts';

/** What a request for a change says about its own fields. */
export interface ResourceRequest {
  /** The type of `Settings`. */
  readonly settings: string;
  /** What is wrong with a field that has the right type. */
  readonly problems: { readonly ResourcePath?: string; readonly RequestType?: string };
}

/** Reads the fields of a request whose `Settings` depend on its `ResourcePath`. */
export function readResourceRequest(
  resources: readonly Resource[],
  source: Readonly<Record<string, unknown>>,
  { build, allowUnknown }: { build: number; allowUnknown: boolean },
): ResourceRequest {
  const { ResourcePath: path, RequestType: type } = source;
  if (typeof path !== 'string') return { settings: 'any', problems: {} };
  const resource = resources.find((candidate) => names(candidate.path, path));
  if (resource === undefined)
    return { settings: 'any', problems: allowUnknown ? {} : { ResourcePath: unknownPath(resources, path) } };
  const { settings, requests, since = 0, ignoredOnRemove } = resource;
  return {
    settings: ignoredOnRemove && type === 'Remove' ? 'any' : settings,
    problems: {
      ...(since > build && {
        ResourcePath: `names what exists since Windows build ${since}, the document is for build ${build}`,
      }),
      ...(requests &&
        typeof type === 'string' &&
        !(requests as readonly string[]).includes(type) && {
          RequestType: `must be ${requests.join(' or ')} for this ResourcePath, not another string`,
        }),
    },
  };
}

function names(pattern: string, path: string): boolean {
  const steps = path.split('/');
  const wanted = pattern.split('/');
  return steps.length === wanted.length && wanted.every((step, index) => fits(step, steps[index] as string));
}

function fits(wanted: string, step: string): boolean {
  if (wanted === '%d') return /^\d{1,20}$/.test(step);
  return wanted === '%s' ? step !== '' : wanted === step;
}

/** Shows the path that was probably meant in the table's words: what stands for its names may be secret. */
function unknownPath(resources: readonly Resource[], path: string): string {
  const steps = path.split('/', 16);
  for (const { path: pattern } of resources) {
    const wanted = pattern.split('/');
    if (wanted.length !== steps.length) continue;
    const masked = steps.map((step, index) => (wanted[index]?.startsWith('%') ? wanted[index] : step));
    if (nearestName(masked.join('/'), [pattern]) === undefined) continue;
    return `names no known resource, did you mean "${pattern.replaceAll('%s', '<name>').replaceAll('%d', '<number>')}"?`;
  }
  return 'names no known resource';
}
