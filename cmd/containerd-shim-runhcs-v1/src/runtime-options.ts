import { readFile } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { fromBinary, fromJsonString } from '@bufbuild/protobuf';
import { type Any, AnySchema } from '@bufbuild/protobuf/wkt';
import { TtrpcError } from '@hcsshim/ttrpc';
import { type Options, OptionsSchema } from './generated/containerd/runhcs/v1/options_pb.ts';
import { OptionsSchema as ConfigOptionsSchema } from './generated/runtimeoptions/v1/options_pb.ts';
import { type LogLevel, logLevels } from './log.ts';

export interface RuntimeOptions {
  /** Undefined: as the command line says. */
  logLevel?: LogLevel;
  /** Annotations that every container gets unless its spec has them. */
  annotations: Record<string, string>;
}

/** Far more than any options need. In bytes. */
const sizeLimit = 1024 * 1024;

/** Options that mean the same as an annotation. */
const numberAnnotations: [
  field: 'vmProcessorCount' | 'vmMemorySizeInMb' | 'defaultContainerScratchSizeInGb',
  key: string,
][] = [
  ['vmProcessorCount', 'io.microsoft.virtualmachine.computetopology.processor.count'],
  ['vmMemorySizeInMb', 'io.microsoft.virtualmachine.computetopology.memory.sizeinmb'],
  ['defaultContainerScratchSizeInGb', 'io.microsoft.container.storage.scratch.sizeingb'],
];
const bootFilesAnnotation = 'io.microsoft.virtualmachine.lcow.bootfilesrootpath';

/** Reads the `google.protobuf.Any` that containerd wrote to the standard input of `start`, if any. */
export async function readOptionsStream(stream: Readable): Promise<Any | undefined> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of stream as AsyncIterable<Uint8Array>) {
    size += chunk.length;
    if (size > sizeLimit) throw invalid(`they are longer than ${sizeLimit} bytes`);
    chunks.push(chunk);
  }
  if (size === 0) return undefined;
  try {
    return fromBinary(AnySchema, Buffer.concat(chunks));
  } catch (cause) {
    throw invalid('they are not a protobuf Any', cause);
  }
}

/**
 * What the options say that containerd passes on: those of runhcs, or, from `ctr --runtime-config-path` and
 * CRI, the path of a JSON file with the same fields. Throws `InvalidArgument` in words.
 */
export async function parseRuntimeOptions(any: Any | undefined): Promise<RuntimeOptions> {
  // Go clients write a bare name, others put a host before it.
  switch (any?.typeUrl.split('/').pop()) {
    case undefined:
    case '':
      return { annotations: {} };
    case OptionsSchema.typeName:
      return fromOptions(decode(OptionsSchema, any as Any));
    case ConfigOptionsSchema.typeName: {
      const { configPath } = decode(ConfigOptionsSchema, any as Any);
      return configPath === '' ? { annotations: {} } : fromOptions(await readConfigFile(configPath));
    }
    default:
      throw invalid(`their type "${any?.typeUrl}" is unknown, it must be "${OptionsSchema.typeName}"`);
  }
}

function fromOptions(options: Options): RuntimeOptions {
  const annotations: Record<string, string> = {};
  for (const [field, key] of numberAnnotations) {
    if (options[field] !== 0) annotations[key] = String(options[field]);
  }
  if (options.bootFilesRootPath) annotations[bootFilesAnnotation] = options.bootFilesRootPath;
  Object.assign(annotations, options.defaultContainerAnnotations);
  const logLevel = options.logLevel ? parseLogLevel(options.logLevel) : options.debug ? 'debug' : undefined;
  return { annotations, ...(logLevel ? { logLevel } : {}) };
}

function parseLogLevel(name: string): LogLevel {
  const aliases: Record<string, LogLevel> = { warn: 'warning', fatal: 'error', panic: 'error' };
  const lower = name.toLowerCase();
  const level = logLevels.find((known) => known === (aliases[lower] ?? lower));
  if (level) return level;
  throw invalid(`log level "${name}" is unknown, choose from ${logLevels.join(', ')}`);
}

async function readConfigFile(path: string): Promise<Options> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    throw invalid(`their file "${path}" cannot be read: ${(cause as Error).message}`, cause);
  }
  try {
    return fromJsonString(OptionsSchema, text);
  } catch (cause) {
    throw invalid(
      `their file "${path}" must be JSON with fields of ${OptionsSchema.typeName}: ${(cause as Error).message}`,
      cause,
    );
  }
}

function decode<D extends typeof OptionsSchema | typeof ConfigOptionsSchema>(schema: D, any: Any) {
  try {
    return fromBinary(schema, any.value);
  } catch (cause) {
    throw invalid(`they are not a valid ${schema.typeName}`, cause);
  }
}

function invalid(problem: string, cause?: unknown): TtrpcError {
  return new TtrpcError('InvalidArgument', `Cannot use the runtime options: ${problem}`, { cause });
}
