import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** What a shim and its later helpers leave for each other in a bundle. */
export const bundleFile = {
  config: 'config.json',
  /** A FIFO whose reader is containerd: it copies what arrives to its own log. */
  log: 'log',
  /** Address of the shim; containerd reads it when it is started again. */
  address: 'address',
  /** Process id of the container, for `delete` after the shim has died. */
  initPid: 'init.pid',
  shimPid: 'shim.pid',
  /** What `delete` answers; left by a shim that ended well, read by the launcher in `bin/`. */
  deleteResponse: 'delete.response',
} as const;

/** How CRI says which container a pod's shim already serves. */
const containerTypeAnnotation = 'io.kubernetes.cri.container-type';
const sandboxIdAnnotation = 'io.kubernetes.cri.sandbox-id';

export interface ShimGroup {
  /** Id of the container whose shim serves this one: its own, or its pod sandbox's. */
  id: string;
  /** True when that shim must be running already. */
  joins: boolean;
}

/** Reads the annotations of the bundle's `config.json`, nothing else of it. */
export function readAnnotations(bundle: string): Record<string, string> {
  const path = join(bundle, bundleFile.config);
  let config: { annotations?: unknown };
  try {
    config = JSON.parse(readFileSync(path, 'utf8'));
  } catch (cause) {
    const problem =
      cause instanceof SyntaxError
        ? `it is not JSON (${cause.message.slice(0, 200)})`
        : 'it cannot be read, is this the directory of a bundle?';
    throw new Error(`Cannot use "${path}": ${problem}`, { cause });
  }
  const annotations = config?.annotations ?? {};
  if (typeof annotations !== 'object' || Array.isArray(annotations)) {
    throw new Error(`Cannot use "${path}": its annotations must be an object`);
  }
  return annotations as Record<string, string>;
}

/** Which shim a container belongs to. Throws when the annotations contradict the id. */
export function shimGroup(id: string, annotations: Record<string, string>): ShimGroup {
  const type = annotations[containerTypeAnnotation];
  const sandboxId = annotations[sandboxIdAnnotation];
  switch (type) {
    case undefined:
      return { id, joins: false };
    case 'sandbox':
      if (sandboxId === id) return { id, joins: false };
      throw new Error(
        `Cannot start pod sandbox "${id}": annotation "${sandboxIdAnnotation}" is "${sandboxId ?? ''}", it must be the same id`,
      );
    case 'container':
      if (sandboxId) return { id: sandboxId, joins: true };
      throw new Error(
        `Cannot start container "${id}": annotation "${sandboxIdAnnotation}" is missing, it must name the pod's sandbox`,
      );
    default:
      throw new Error(
        `Cannot start container "${id}": annotation "${containerTypeAnnotation}" is "${type}", it must be "sandbox" or "container"`,
      );
  }
}

/** Writes a file of the bundle in one step: a reader sees all of it or none. */
export function writeBundleFile(bundle: string, name: string, content: string | Uint8Array): void {
  const draft = join(bundle, `.${name}`);
  writeFileSync(draft, content, { mode: 0o600 });
  renameSync(draft, join(bundle, name));
}
