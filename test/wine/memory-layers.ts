import { createHash } from 'node:crypto';
import { HResult } from '@hcsshim/schema';
import type { Answer } from './stand-in-service.ts';

interface Layer {
  path: string;
  /** Paths, the nearest first, in lower case. */
  parents: string[];
  /** A read-only layer needs neither: to activate it does nothing. */
  state: 'read-only' | 'idle' | 'activated' | 'prepared';
  /** Of a writable layer, in bytes. */
  size: bigint;
}

const defaultSize = 20n << 30n;

type LayerCall = (layers: MemoryLayers, path: string, ...rest: string[]) => Answer;

const ok: Answer = {};
const refuse = (result: number): Answer => ({ result });

/**
 * What `vmcompute.dll` does with container layers, in memory alone: which exist, on which others they lie, and
 * what may follow on what. Microsoft documents none of it; the codes are those that users of Docker and containerd
 * report from Windows, where there are reports, and otherwise the nearest.
 */
export class MemoryLayers {
  readonly #layers = new Map<string, Layer>();

  answer(name: string, strings: readonly (string | null)[]): Answer {
    const [path = '', ...rest] = strings.map((text) => text ?? '');
    return calls[name]?.(this, path, ...rest) ?? refuse(HResult.E_NOTIMPL);
  }

  find(path: string): Layer | undefined {
    return this.#layers.get(path.toLowerCase());
  }

  add(path: string, state: Layer['state'], parents: string[]): Answer {
    if (this.find(path) !== undefined) return refuse(HResult.ERROR_ALREADY_EXISTS);
    this.#layers.set(path.toLowerCase(), { path, parents, state, size: defaultSize });
    return ok;
  }

  remove(layer: Layer): void {
    this.#layers.delete(layer.path.toLowerCase());
  }

  /** Pairs of id and path, as descriptors of layers that exist; a code for those that are wrong. */
  parents(descriptors: readonly string[]): string[] | number {
    const paths: string[] = [];
    for (let at = 0; at < descriptors.length; at += 2) {
      const [id, path = ''] = descriptors.slice(at);
      if (id !== layerId(path)) return HResult.E_INVALIDARG;
      if (this.find(path)?.state !== 'read-only') return HResult.ERROR_PATH_NOT_FOUND;
      paths.push(path.toLowerCase());
    }
    return paths;
  }
}

/** The id is made of the last part of the path (hcsshim's internal/wclayer, `LayerID`). */
function layerId(path: string): string {
  return nameToGuid(path.slice(path.lastIndexOf('\\') + 1));
}

/** The same for the same name; Windows' own way is not known. */
function nameToGuid(name: string): string {
  const digits = createHash('sha1').update(name, 'utf16le').digest('hex');
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12}).*$/, '$1-$2-$3-$4-$5');
}

/** A call that changes the state of a writable layer, and leaves a read-only one as it is. */
function transition(
  from: Layer['state'],
  to: Layer['state'],
  otherwise: (layer: Layer) => number,
): LayerCall {
  return (layers, path) => {
    const layer = layers.find(path);
    if (layer === undefined) return refuse(HResult.ERROR_PATH_NOT_FOUND);
    if (layer.state === 'read-only') return ok;
    if (layer.state !== from) return refuse(otherwise(layer));
    layer.state = to;
    return ok;
  };
}

/** Makes a layer over others out of a folder. */
const importLayer: LayerCall = (layers, path, folder = '', ...descriptors) => {
  const parents = layers.parents(descriptors);
  if (folder === '') return refuse(HResult.ERROR_PATH_NOT_FOUND);
  return typeof parents === 'number' ? refuse(parents) : layers.add(path, 'read-only', parents);
};

const processImage: LayerCall = (layers, path) => {
  if (path === '') return refuse(HResult.ERROR_PATH_NOT_FOUND);
  return layers.find(path) === undefined ? layers.add(path, 'read-only', []) : ok;
};

const calls: Record<string, LayerCall> = {
  CreateLayer: (layers, path, parent = '') => {
    const below = parent === '' ? undefined : layers.find(parent);
    if (parent !== '' && below === undefined) return refuse(HResult.ERROR_PATH_NOT_FOUND);
    return layers.add(path, 'read-only', below === undefined ? [] : [parent.toLowerCase(), ...below.parents]);
  },
  CreateSandboxLayer: (layers, path, ...descriptors) => {
    const parents = layers.parents(descriptors);
    if (typeof parents === 'number') return refuse(parents);
    return parents.length === 0 ? refuse(HResult.E_INVALIDARG) : layers.add(path, 'idle', parents);
  },
  ActivateLayer: transition('idle', 'activated', () => HResult.ERROR_SHARING_VIOLATION),
  PrepareLayer: (layers, path, ...descriptors) => {
    const layer = layers.find(path);
    if (layer === undefined) return refuse(HResult.ERROR_PATH_NOT_FOUND);
    const parents = layers.parents(descriptors);
    if (typeof parents === 'number') return refuse(parents);
    if (layer.state === 'read-only' || parents.join('|') !== layer.parents.join('|'))
      return refuse(HResult.E_INVALIDARG);
    if (layer.state === 'prepared') return refuse(HResult.ERROR_SHARING_VIOLATION);
    if (layer.state !== 'activated') return refuse(HResult.ERROR_NOT_READY);
    layer.state = 'prepared';
    return ok;
  },
  UnprepareLayer: transition('prepared', 'activated', () => HResult.E_INVALIDARG),
  DeactivateLayer: transition('activated', 'idle', ({ state }) =>
    state === 'prepared' ? HResult.ERROR_SHARING_VIOLATION : HResult.ERROR_NOT_READY,
  ),
  DestroyLayer: (layers, path) => {
    const layer = layers.find(path);
    if (layer === undefined) return refuse(HResult.ERROR_PATH_NOT_FOUND);
    if (layer.state === 'activated' || layer.state === 'prepared')
      return refuse(HResult.ERROR_SHARING_VIOLATION);
    layers.remove(layer);
    return ok;
  },
  ExpandSandboxSize: (layers, path, size = '0') => {
    const layer = layers.find(path);
    if (layer === undefined) return refuse(HResult.ERROR_PATH_NOT_FOUND);
    if (layer.state === 'read-only') return refuse(HResult.E_INVALIDARG);
    if (layer.state !== 'idle') return refuse(HResult.ERROR_SHARING_VIOLATION);
    if (BigInt(size) > layer.size) layer.size = BigInt(size);
    return ok;
  },
  GetLayerMountPath: (layers, path) => {
    const layer = layers.find(path);
    if (layer === undefined) return refuse(HResult.ERROR_PATH_NOT_FOUND);
    const isMounted = layer.state === 'activated' || layer.state === 'prepared';
    return { document: isMounted ? `\\\\?\\Volume{${layerId(path)}}\\` : layer.path };
  },
  LayerExists: (layers, path) => ({ document: String(layers.find(path) !== undefined) }),
  ImportLayer: importLayer,
  CopyLayer: (layers, path, destination = '', ...descriptors) => {
    if (layers.find(path) === undefined) return refuse(HResult.ERROR_PATH_NOT_FOUND);
    return importLayer(layers, destination, path, ...descriptors);
  },
  ExportLayer: (layers, path, folder = '', ...descriptors) => {
    const parents = layers.parents(descriptors);
    if (layers.find(path) === undefined || folder === '') return refuse(HResult.ERROR_PATH_NOT_FOUND);
    return typeof parents === 'number' ? refuse(parents) : ok;
  },
  ProcessBaseImage: processImage,
  ProcessUtilityImage: processImage,
  NameToGuid: (_layers, name) => ({ document: nameToGuid(name) }),
  GetBaseImages: () => ({ document: '{"Images":[]}' }),
  GrantVmAccess: (_layers, vmId, path = '') =>
    vmId === '' || path === '' ? refuse(HResult.E_INVALIDARG) : ok,
};

export function isLayerCall(name: string): boolean {
  return Object.hasOwn(calls, name);
}
