/**
 * What travels beside a request, for example `containerd-namespace-ttrpc`: keys in lower case, each with its
 * values in the order they were sent. TTRPC has no metadata on answers.
 */
export type Metadata = ReadonlyMap<string, readonly string[]>;

/** Metadata as a caller gives it. Keys may be in any case. */
export type MetadataInit = Metadata | Readonly<Record<string, string | readonly string[]>>;

/** A key with one value, as the wire has it; a key with several values comes as several entries. */
export type MetadataEntry = readonly [key: string, value: string];

const noMetadata: Metadata = new Map();

export function metadataFromEntries(entries: readonly MetadataEntry[]): Metadata {
  if (entries.length === 0) return noMetadata;
  const metadata = new Map<string, string[]>();
  for (const [key, value] of entries) {
    const name = key.toLowerCase();
    const values = metadata.get(name);
    if (values) values.push(value);
    else metadata.set(name, [value]);
  }
  return metadata;
}

export function metadataToEntries(init: MetadataInit | undefined): readonly MetadataEntry[] {
  if (init === undefined) return [];
  const entries: MetadataEntry[] = [];
  for (const [key, values] of init instanceof Map ? init : Object.entries(init))
    for (const value of typeof values === 'string' ? [values] : values)
      entries.push([key.toLowerCase(), value]);
  return entries;
}
