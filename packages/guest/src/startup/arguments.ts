import { basename } from 'node:path';
import { type LogLevel, parseLogLevel } from './log-level.ts';

/** What the agent was asked for on its command line. Names and defaults of the flags: upstream's `cmd/gcs/main.go`. */
export interface AgentOptions {
  /** Vsock port that serves random bytes; init's `-e`. @default 1 */
  entropyPort: number;
  /** Vsock port that takes the log; vsockexec's `-e`. @default 109 */
  logPort: number;
  logLevel: LogLevel;
  logFormat: 'text' | 'json';
  /** Write the log here and not to the host. @default '' */
  logFile: string;
  /** Where core dumps go, for the whole VM. @default '' as the kernel has it */
  coreDumpLocation: string;
  /** Re-log kernel messages up to this syslog level. @default 4, warnings */
  kmsgLogLevel: number;
  /** Speak the protocol over stdin and stdout. @default false */
  useStandardStreams: boolean;
  /** Memory kept from the containers. @default 75 MiB */
  rootMemoryReserveBytes: number;
  /** Serve a sandbox instead of a VM: this directory stands for the VM's devices. @default undefined */
  sandbox: string | undefined;
  /** Cgroup below which the containers' cgroups are made. @default '/containers' */
  cgroupParent: string;
}

type FlagKind = 'boolean' | 'string' | 'unsigned';

/** All flags of upstream's agent, and ours: `sandbox` and `cgroup-parent`. */
const flagKinds: Record<string, FlagKind> = {
  loglevel: 'string',
  'core-dump-location': 'string',
  kmsgLogLevel: 'unsigned',
  logfile: 'string',
  'log-format': 'string',
  'use-inouterr': 'boolean',
  v4: 'boolean',
  'root-mem-reserve-bytes': 'unsigned',
  'gcs-mem-limit-bytes': 'unsigned',
  'disable-time-sync': 'boolean',
  'scrub-logs': 'boolean',
  'initial-policy-stance': 'string',
  sandbox: 'string',
  'cgroup-parent': 'string',
};

const booleans: Record<string, boolean> = {
  '1': true,
  t: true,
  T: true,
  true: true,
  TRUE: true,
  True: true,
  '0': false,
  f: false,
  F: false,
  false: false,
  FALSE: false,
  False: false,
};

const mebibyte = 1024 * 1024;

/**
 * Reads the agent's command line: either its own flags, or, when it is started as init, the whole line that
 * upstream's host puts behind `--` on the kernel's:
 *
 *     -e 1 /bin/vsockexec -e 109 /bin/gcs -v4 -log-format json -loglevel debug
 *
 * Throws in words for an unknown flag or a bad value.
 */
export function parseArguments(args: readonly string[]): AgentOptions {
  const rest = [...args];
  const init = takePorts(rest, 'init', ['e']);
  const vsockexec = takeProgram(rest, 'vsockexec')
    ? takePorts(rest, 'vsockexec', ['i', 'o', 'e'])
    : new Map<string, number>();
  takeProgram(rest, 'gcs');
  const flags = parseFlags(rest);

  const stance = flags.get('initial-policy-stance') ?? 'allow';
  if (stance !== 'allow') {
    throw new Error(
      stance === 'deny'
        ? 'Cannot start with -initial-policy-stance "deny": this agent enforces no policies, use "allow"'
        : `Cannot start with -initial-policy-stance "${stance}": use "allow"`,
    );
  }
  const logFormat = flags.get('log-format') ?? 'text';
  if (logFormat !== 'text' && logFormat !== 'json') {
    throw new Error(`Cannot log in format "${logFormat}": use "text" or "json"`);
  }
  return {
    entropyPort: init.get('e') ?? 1,
    logPort: vsockexec.get('e') ?? 109,
    logLevel: parseLogLevel(text(flags, 'loglevel') ?? 'debug'),
    logFormat,
    logFile: text(flags, 'logfile') ?? '',
    coreDumpLocation: text(flags, 'core-dump-location') ?? '',
    kmsgLogLevel: number(flags, 'kmsgLogLevel') ?? 4,
    useStandardStreams: flags.get('use-inouterr') === true,
    rootMemoryReserveBytes: number(flags, 'root-mem-reserve-bytes') ?? 75 * mebibyte,
    sandbox: text(flags, 'sandbox'),
    cgroupParent: text(flags, 'cgroup-parent') ?? '/containers',
  };
}

function text(flags: Map<string, unknown>, name: string): string | undefined {
  return flags.get(name) as string | undefined;
}

function number(flags: Map<string, unknown>, name: string): number | undefined {
  return flags.get(name) as number | undefined;
}

/** Removes leading `-x <port>` pairs from `args`. */
function takePorts(args: string[], program: string, names: readonly string[]): Map<string, number> {
  const ports = new Map<string, number>();
  for (;;) {
    const name = args[0]?.slice(1) ?? '';
    if (!args[0]?.startsWith('-') || !names.includes(name)) return ports;
    const value = args[1] ?? '';
    if (!/^\d+$/.test(value) || Number(value) > 0xffff_ffff) {
      throw new Error(`Cannot use port "${value}" for ${program} -${name}: give a number`);
    }
    ports.set(name, Number(value));
    args.splice(0, 2);
  }
}

function takeProgram(args: string[], program: string): boolean {
  if (args[0] === undefined || basename(args[0]) !== program) return false;
  args.shift();
  return true;
}

/** Flags as Go's `flag` package reads them: one or two dashes, `-name value` or `-name=value`. */
function parseFlags(args: readonly string[]): Map<string, string | number | boolean> {
  const flags = new Map<string, string | number | boolean>();
  for (let index = 0; index < args.length; index++) {
    const [, name, given] = /^--?([^-=][^=]*)(?:=(.*))?$/s.exec(args[index] as string) ?? [];
    const kind = name === undefined ? undefined : flagKinds[name];
    if (name === undefined || kind === undefined) {
      throw new Error(
        `Cannot read argument "${args[index]}": known are ${Object.keys(flagKinds)
          .map((known) => `-${known}`)
          .join(', ')}`,
      );
    }
    const value = given ?? (kind === 'boolean' ? 'true' : args[++index]);
    if (value === undefined) throw new Error(`Cannot read flag -${name}: it needs a value`);
    flags.set(name, flagValue(name, kind, value));
  }
  return flags;
}

function flagValue(name: string, kind: FlagKind, value: string): string | number | boolean {
  if (kind === 'string') return value;
  if (kind === 'boolean') {
    const parsed = Object.hasOwn(booleans, value) ? booleans[value] : undefined;
    if (parsed === undefined) throw new Error(`Cannot read flag -${name}: "${value}" is not true or false`);
    return parsed;
  }
  const parsed = /^(\d+|0[xX][\da-fA-F]+)$/.test(value) ? Number(value) : Number.NaN;
  if (!Number.isSafeInteger(parsed)) {
    throw new Error(`Cannot read flag -${name}: "${value}" is not an unsigned number`);
  }
  return parsed;
}
