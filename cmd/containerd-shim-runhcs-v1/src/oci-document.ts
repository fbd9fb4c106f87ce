import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { OciProcess, OciSpec } from '@hcsshim/schema';
import { TtrpcError } from '@hcsshim/ttrpc';
import { bundleFile } from './bundle.ts';

/** Reads a bundle's `config.json`. Throws `InvalidArgument` in words. */
export async function readSpec(bundle: string): Promise<OciSpec> {
  const path = join(bundle, bundleFile.config);
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    throw new TtrpcError('InvalidArgument', `Cannot read "${path}": ${(cause as Error).message}`, { cause });
  }
  return parseObject<OciSpec>(text, `"${path}"`);
}

/** The OCI process that an Exec request carries as JSON in an Any. */
export function parseProcess(value: Uint8Array | undefined, label: string): OciProcess {
  return parseObject<OciProcess>(
    Buffer.from(value ?? []).toString(),
    `the process specification of ${label}`,
  );
}

/** The `linux.resources` that an Update request carries as JSON in an Any. */
export function parseResources(value: Uint8Array | undefined, label: string): Record<string, unknown> {
  return parseObject<Record<string, unknown>>(
    Buffer.from(value ?? []).toString(),
    `the resources of ${label}`,
  );
}

function parseObject<T extends object>(text: string, label: string): T {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new TtrpcError('InvalidArgument', `Cannot use ${label}: it is not JSON`, { cause });
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as T;
  throw new TtrpcError('InvalidArgument', `Cannot use ${label}: it must be a JSON object`);
}
