/**
 * The port between containerd's tasks and whatever runs containers: all that the task service needs, and
 * nothing of how it is done. `platform-host.ts` implements it over the SDK.
 */
import type { Readable, Writable } from 'node:stream';
import type { OciProcess, OciSpec } from '@hcsshim/schema';

export interface CallOptions {
  signal?: AbortSignal;
}

/** A mount as containerd's snapshotter describes it, in the words of mount(2). */
interface RootfsMount {
  type: string;
  source: string;
  options: readonly string[];
}

export interface ContainerRequest {
  /** Unique in the containerd namespace. */
  id: string;
  /** Directory of the OCI bundle. */
  bundle: string;
  /** `config.json` of the bundle; annotations that the runtime options imply have been added. */
  spec: OciSpec;
  /** What makes the container's root, to be mounted in this order. Empty when the spec's root is a directory. */
  rootfs: readonly RootfsMount[];
}

export interface TaskHost extends AsyncDisposable {
  /**
   * Makes a container whose first process does not run yet. When it rejects, or when its signal aborts,
   * nothing is left behind.
   */
  create(request: ContainerRequest, options: CallOptions): Promise<HostedContainer>;
  /** Ends what was begun in expectation of a container that will not be created after all. */
  forget(id: string): Promise<void>;
}

/** A container, from created to deleted. */
export interface HostedContainer {
  /** A process of the host that stands for the container: its VM, or its agent. Known from creation on. */
  readonly pid: number;
  /** Resolves, with the reason in words, when the VM has gone that nobody here asked to go. */
  readonly lost: Promise<string>;
  /** Starts the process that the spec describes. Rejects in words when it cannot. */
  start(stdio: StdioRequest): Promise<HostedProcess>;
  /** Starts one more process in the running container. */
  exec(process: OciProcess, stdio: StdioRequest): Promise<HostedProcess>;
  pause(options: CallOptions): Promise<void>;
  resume(options: CallOptions): Promise<void>;
  /** Process ids as the guest counts them. */
  processIds(options: CallOptions): Promise<number[]>;
  /** Cgroup v1 metrics, JSON with the field names of `io.containerd.cgroups.v1.Metrics`. */
  statistics(options: CallOptions): Promise<unknown>;
  /** Changes limits, in the words of the OCI specification's `linux.resources`. Absent where that cannot be. */
  update?(resources: Record<string, unknown>, options: CallOptions): Promise<void>;
  /** Ends what still runs and releases everything, the VM too. Twice is as once. */
  delete(): Promise<void>;
}

/** Which of its streams somebody holds. The others are closed, or `/dev/null`, in the container. */
export interface StdioRequest {
  stdin: boolean;
  stdout: boolean;
  /** Never with a terminal. */
  stderr: boolean;
  terminal: boolean;
}

/** A process in a container; its streams are connected when it is handed over. */
export interface HostedProcess {
  /** As the guest counts. */
  readonly pid: number;
  /** Ending it lets the process read end-of-file. */
  readonly stdin?: Writable | undefined;
  /** Ends when the process and all who inherited it have closed it. */
  readonly stdout?: Readable | undefined;
  readonly stderr?: Readable | undefined;
  /** The exit code, 128 + signal number for a killed one. Rejects when it can never be known. */
  wait(): Promise<number>;
  /** Sends a signal by number. False when the process has ended already. */
  kill(signal: number, options: CallOptions): Promise<boolean>;
  resize(size: { columns: number; rows: number }, options: CallOptions): Promise<void>;
}
