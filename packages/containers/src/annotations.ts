import { HcsError } from '@hcsshim/hcs';

/** What annotations of a spec say about its VM and container. Absent where there is no annotation. */
export interface ContainerAnnotations {
  /** `io.hcsshim.engine`: which engine runs the VM. */
  engine?: string;
  /** `io.microsoft.virtualmachine.computetopology.memory.sizeinmb`. */
  memoryMb?: number;
  /** `io.microsoft.virtualmachine.computetopology.processor.count`. */
  processors?: number;
  /** `io.microsoft.virtualmachine.computetopology.processor.limit`, 1 to 100000. */
  processorLimit?: number;
  /** `io.microsoft.virtualmachine.computetopology.processor.weight`, 0 to 10000. */
  processorWeight?: number;
  /** `io.microsoft.virtualmachine.lcow.kernelbootoptions`. */
  kernelArguments?: string;
  /** `io.microsoft.virtualmachine.lcow.bootfilesrootpath`: a directory with kernel, initrd and root disk. */
  bootFilesPath?: string;
  /** `io.microsoft.container.storage.scratch.sizeingb`: the writable layer's size. */
  scratchSizeGb?: number;
}

type Parser = (value: string) => string | number | undefined;

const text: Parser = (value) => value;
const oneOf =
  (...allowed: string[]): Parser =>
  (value) =>
    allowed.includes(value) ? value : undefined;
const integer =
  (least: number, most: number): Parser =>
  (value) => {
    const number = /^\d{1,15}$/.test(value) ? Number(value) : Number.NaN;
    return number >= least && number <= most ? number : undefined;
  };

/** Keys as upstream's `pkg/annotations`; those under `io.hcsshim` are ours. */
const table: Record<string, { field: keyof ContainerAnnotations; parse: Parser; allowed: string }> = {
  'io.hcsshim.engine': { field: 'engine', parse: oneOf('qemu', 'sandbox'), allowed: '"qemu" or "sandbox"' },
  'io.microsoft.virtualmachine.computetopology.memory.sizeinmb': {
    field: 'memoryMb',
    parse: integer(128, 1_048_576),
    allowed: 'MiB from 128 to 1048576',
  },
  'io.microsoft.virtualmachine.computetopology.processor.count': {
    field: 'processors',
    parse: integer(1, 255),
    allowed: 'a number from 1 to 255',
  },
  'io.microsoft.virtualmachine.computetopology.processor.limit': {
    field: 'processorLimit',
    parse: integer(1, 100_000),
    allowed: 'a number from 1 to 100000',
  },
  'io.microsoft.virtualmachine.computetopology.processor.weight': {
    field: 'processorWeight',
    parse: integer(0, 10_000),
    allowed: 'a number from 0 to 10000',
  },
  'io.microsoft.virtualmachine.lcow.kernelbootoptions': {
    field: 'kernelArguments',
    parse: text,
    allowed: 'text',
  },
  'io.microsoft.virtualmachine.lcow.bootfilesrootpath': {
    field: 'bootFilesPath',
    parse: text,
    allowed: 'a path',
  },
  'io.microsoft.container.storage.scratch.sizeingb': {
    field: 'scratchSizeGb',
    parse: integer(1, 16_384),
    allowed: 'GiB from 1 to 16384',
  },
};

/**
 * Reads the annotations that this project knows; others are left alone, they are for somebody else. A known
 * annotation with a value that makes no sense throws E_INVALIDARG: upstream logs it and falls back to the
 * default, which its users find out much later.
 */
export function parseAnnotations(annotations: Record<string, string> = {}): ContainerAnnotations {
  const parsed: Record<string, string | number> = {};
  for (const [key, { field, parse, allowed }] of Object.entries(table)) {
    const value = annotations[key];
    if (value === undefined) continue;
    const result = parse(value);
    if (result === undefined) {
      throw new HcsError({
        action: `Cannot use annotation "${key}"`,
        problem: `its value is "${value.slice(0, 100)}", it must be ${allowed}`,
        code: 'E_INVALIDARG',
      });
    }
    parsed[field] = result;
  }
  return parsed as ContainerAnnotations;
}
