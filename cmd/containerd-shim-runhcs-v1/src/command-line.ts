/** Verbs of containerd's runtime v2. */
type Verb = 'start' | 'delete';

export interface CommandLine {
  verb: Verb;
  /** containerd namespace of the container. */
  namespace: string;
  /** containerd's GRPC socket. */
  address: string;
  /** containerd's own binary. Accepted for containerd's sake: events go over TTRPC. */
  publishBinary: string;
  id: string;
  /** Directory of the container's bundle. @default the working directory */
  bundle: string;
  debug: boolean;
}

/** What a user gave us that we cannot use. Reported with the usage text. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

export const usage = `Usage: containerd-shim-runhcs-v1 [flags] start|delete

  -namespace <name>       containerd namespace of the container (required)
  -address <path>         containerd's GRPC socket (required)
  -publish-binary <path>  containerd's binary (required)
  -id <id>                id of the container (required)
  -bundle <path>          bundle of the container, default the working directory
  -debug                  log more
  -version, -v            print the version and exit
`;

type Field = 'namespace' | 'address' | 'publishBinary' | 'id' | 'bundle';

const flags: Record<string, Field> = {
  namespace: 'namespace',
  address: 'address',
  'publish-binary': 'publishBinary',
  id: 'id',
  bundle: 'bundle',
};

const required: [flag: string, field: Field][] = [
  ['namespace', 'namespace'],
  ['address', 'address'],
  ['publish-binary', 'publishBinary'],
  ['id', 'id'],
];

/**
 * Reads arguments as Go's `flag` package does: one or two dashes, `-name value` or `-name=value`, booleans
 * without a value, flags before and after the verb. Returns what to do when the arguments only ask for
 * information. Throws {@link UsageError}.
 */
export function parseCommandLine(
  args: readonly string[],
  workingDirectory: string,
): CommandLine | 'version' | 'help' {
  const values: Partial<Record<Field, string>> = {};
  const words: string[] = [];
  let debug = false;
  for (let index = 0; index < args.length; index++) {
    const argument = args[index] as string;
    const [, name, inline] = /^--?([^-=][^=]*)(?:=([\s\S]*))?$/.exec(argument) ?? [];
    if (name === undefined) {
      words.push(argument);
      continue;
    }
    if (name === 'version' || name === 'v') return 'version';
    if (name === 'help' || name === 'h') return 'help';
    if (name === 'debug') {
      debug = parseBoolean(inline);
      continue;
    }
    const field = flags[name];
    if (!field) throw new UsageError(`Cannot use flag "-${name}": it is unknown`);
    const value = inline ?? args[++index];
    if (value === undefined) throw new UsageError(`Cannot use flag "-${name}": its value is missing`);
    values[field] = value;
  }

  const [verb, ...rest] = words;
  if (verb !== 'start' && verb !== 'delete') {
    const problem = verb === undefined ? 'no verb is given' : `verb "${verb}" is unknown`;
    throw new UsageError(`Cannot run the shim: ${problem}, it must be "start" or "delete"`);
  }
  if (rest.length > 0) throw new UsageError(`Cannot ${verb} the shim: argument "${rest[0]}" is not expected`);
  for (const [flag, field] of required) {
    if (!values[field]) throw new UsageError(`Cannot ${verb} the shim: flag "-${flag}" is missing or empty`);
  }
  return {
    verb,
    debug,
    namespace: values.namespace ?? '',
    address: values.address ?? '',
    publishBinary: values.publishBinary ?? '',
    id: values.id ?? '',
    bundle: values.bundle || workingDirectory,
  };
}

function parseBoolean(value: string | undefined): boolean {
  if (value === undefined) return true;
  if (['1', 't', 'T', 'true', 'TRUE', 'True'].includes(value)) return true;
  if (['0', 'f', 'F', 'false', 'FALSE', 'False'].includes(value)) return false;
  throw new UsageError(`Cannot use flag "-debug": its value is "${value}", it must be true or false`);
}
