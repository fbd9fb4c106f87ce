/**
 * OCI runtime specification 1.0, the part that a Linux container's `config.json` uses here.
 * Unknown fields are kept and go on to the OCI runtime unchanged.
 */
export interface OciSpec {
  ociVersion: string;
  process?: OciProcess;
  root?: { path: string; readonly?: boolean };
  hostname?: string;
  mounts?: OciMount[];
  hooks?: Record<string, unknown>;
  annotations?: Record<string, string>;
  linux?: OciLinux;
  windows?: Record<string, unknown>;
}

export interface OciProcess {
  terminal?: boolean;
  consoleSize?: { height: number; width: number };
  user: OciUser;
  args?: string[];
  commandLine?: string;
  env?: string[];
  cwd: string;
  capabilities?: Record<string, string[]>;
  rlimits?: { type: string; hard: number; soft: number }[];
  noNewPrivileges?: boolean;
  apparmorProfile?: string;
  oomScoreAdj?: number;
  selinuxLabel?: string;
}

export interface OciUser {
  uid?: number;
  gid?: number;
  umask?: number;
  additionalGids?: number[];
  /** Name or `user:group`, resolved against the container's own passwd and group files. */
  username?: string;
}

export interface OciMount {
  destination: string;
  type?: string;
  source?: string;
  options?: string[];
}

export interface OciLinux {
  cgroupsPath?: string;
  namespaces?: { type: string; path?: string }[];
  devices?: Record<string, unknown>[];
  resources?: Record<string, unknown>;
  seccomp?: Record<string, unknown>;
  maskedPaths?: string[];
  readonlyPaths?: string[];
  rootfsPropagation?: string;
  sysctl?: Record<string, string>;
  [field: string]: unknown;
}
