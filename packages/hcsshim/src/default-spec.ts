import type { OciMount, OciProcess, OciSpec } from '@hcsshim/schema';
import type { ImageConfig } from '@hcsshim/storage';

export interface ProcessOptions {
  /** Command and arguments; replaces the image's command, after its entrypoint. @default the image's */
  args?: readonly string[];
  /** More environment, `NAME=value`; wins over the image's. */
  env?: readonly string[];
  /** @default the image's, else `/` */
  cwd?: string;
  /** Name or number, optionally `user:group`. @default the image's, else root */
  user?: string;
  /** A terminal of this size, instead of separate streams. */
  terminal?: { columns: number; rows: number };
}

const defaultPath = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Docker's and containerd's default set. */
const defaultCapabilities = [
  'CAP_CHOWN',
  'CAP_DAC_OVERRIDE',
  'CAP_FSETID',
  'CAP_FOWNER',
  'CAP_MKNOD',
  'CAP_NET_RAW',
  'CAP_SETGID',
  'CAP_SETUID',
  'CAP_SETFCAP',
  'CAP_SETPCAP',
  'CAP_NET_BIND_SERVICE',
  'CAP_SYS_CHROOT',
  'CAP_KILL',
  'CAP_AUDIT_WRITE',
];

const defaultMounts: OciMount[] = [
  { destination: '/proc', type: 'proc', source: 'proc', options: ['nosuid', 'noexec', 'nodev'] },
  {
    destination: '/dev',
    type: 'tmpfs',
    source: 'tmpfs',
    options: ['nosuid', 'strictatime', 'mode=755', 'size=65536k'],
  },
  {
    destination: '/dev/pts',
    type: 'devpts',
    source: 'devpts',
    options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5'],
  },
  {
    destination: '/dev/shm',
    type: 'tmpfs',
    source: 'shm',
    options: ['nosuid', 'noexec', 'nodev', 'mode=1777', 'size=65536k'],
  },
  { destination: '/dev/mqueue', type: 'mqueue', source: 'mqueue', options: ['nosuid', 'noexec', 'nodev'] },
  { destination: '/sys', type: 'sysfs', source: 'sysfs', options: ['nosuid', 'noexec', 'nodev', 'ro'] },
  {
    destination: '/run',
    type: 'tmpfs',
    source: 'tmpfs',
    options: ['nosuid', 'strictatime', 'mode=755', 'size=65536k'],
  },
];

/** The spec of a container that nobody wrote a `config.json` for. Throws when there is no command to run. */
export function defaultSpec(
  image: ImageConfig,
  options: ProcessOptions & { hostname?: string } = {},
): OciSpec {
  return {
    ociVersion: '1.0.2',
    process: defaultProcess(image, options),
    root: { path: 'rootfs' },
    ...(options.hostname === undefined ? {} : { hostname: options.hostname }),
    mounts: defaultMounts,
    linux: {
      namespaces: ['pid', 'ipc', 'uts', 'mount', 'network'].map((type) => ({ type })),
      maskedPaths: [
        '/proc/acpi',
        '/proc/kcore',
        '/proc/keys',
        '/proc/latency_stats',
        '/proc/timer_list',
        '/proc/sched_debug',
        '/sys/firmware',
        '/proc/scsi',
      ],
      readonlyPaths: [
        '/proc/asound',
        '/proc/bus',
        '/proc/fs',
        '/proc/irq',
        '/proc/sys',
        '/proc/sysrq-trigger',
      ],
    },
  };
}

/** A process of an image's container, for its init or for an exec. */
export function defaultProcess(image: ImageConfig, options: ProcessOptions = {}): OciProcess {
  const entrypoint = image.Entrypoint ?? [];
  const args = options.args ? [...entrypoint, ...options.args] : [...entrypoint, ...(image.Cmd ?? [])];
  if (args.length === 0) {
    throw new Error('Cannot run the container: the image names no command, give one after "--"');
  }
  const user = options.user ?? image.User;
  return {
    terminal: options.terminal !== undefined,
    ...(options.terminal
      ? { consoleSize: { height: options.terminal.rows, width: options.terminal.columns } }
      : {}),
    user: user ? { username: user } : { uid: 0, gid: 0 },
    args,
    env: mergeEnvironment(
      [defaultPath, ...(options.terminal ? ['TERM=xterm'] : [])],
      image.Env ?? [],
      options.env ?? [],
    ),
    cwd: options.cwd ?? (image.WorkingDir || '/'),
    capabilities: {
      bounding: defaultCapabilities,
      effective: defaultCapabilities,
      permitted: defaultCapabilities,
    },
    rlimits: [{ type: 'RLIMIT_NOFILE', hard: 1024, soft: 1024 }],
    noNewPrivileges: true,
  };
}

/** Later lists win over earlier ones, name by name. */
function mergeEnvironment(...lists: (readonly string[])[]): string[] {
  const byName = new Map(lists.flat().map((entry) => [entry.split('=', 1)[0], entry]));
  return [...byName.values()];
}
