/**
 * Makes the HCS and HCN documents of `@hcsshim/schema` from the JSON schemas in `packages/schema/hcs-schema`:
 * for each family of documents a file of types, and a file with the table that the validator walks. Types are
 * erased when the code runs and the table is small, so a program pays only for the families that it imports.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Microsoft's published schemas, oldest first, by the Windows build whose SDK they belong to. */
const publishedSchemas: [build: number, file: string][] = [
  [17763, 'windows_10_SDK_version_1809.json'],
  [18362, 'windows_10_SDK_version_1903.json'],
  [19041, 'windows_10_SDK_version_2004.json'],
  [20348, 'windows_10_SDK_version_2104.json'],
  [22000, 'windows_11_SDK_version_21H2.json'],
];
const oldestBuild = 17763;

/** The build with which each schema version came, as Microsoft's "Schema Version Map" has it. */
const buildOfVersion: Record<string, number> = {
  '2.0': 17763,
  '2.1': 17763,
  '2.2': 18362,
  '2.3': 19041,
  '2.4': 20348,
  '2.5': 20348,
  '2.6': 22000,
};

interface SchemaProperty {
  type?: string;
  format?: string;
  pattern?: string;
  $ref?: string;
  items?: SchemaProperty;
  additionalProperties?: SchemaProperty;
  description?: string;
  /** The file of upstream that knows the property, when Microsoft's schemas do not. */
  'x-source'?: string;
  /** The version of its own schema with which a property came, for documents that have no builds. */
  'x-version'?: string;
  /** The property's type depends on the value of another one. */
  'x-settings-of'?: { field: string; types: Record<string, string> };
}

interface SchemaDefinition {
  type: string;
  description?: string;
  properties?: Record<string, SchemaProperty>;
  enum?: (string | number)[];
  /** Names of the numbers in `enum`. */
  'x-names'?: string[];
  /** Names of the bits that an integer is made of. */
  'x-bits'?: Record<string, number>;
  'x-versions'?: Record<string, string>;
}

interface Schema {
  info: { description?: string };
  definitions: Record<string, SchemaDefinition>;
  /** Names that older schemas gave to definitions, and the names they have in the newest one. */
  'x-renames'?: Record<string, string>;
  /** Schema versions of definitions and fields that are older than the first schema that was published with them. */
  'x-earlier'?: Record<string, string | Record<string, string>>;
}

/** First and last build of a thing; absent when it exists in the oldest, or still in the newest schema. */
interface Lifetime {
  since?: number;
  until?: number;
}

interface Field extends Lifetime {
  name: string;
  property: SchemaProperty;
}

interface Definition extends Lifetime {
  name: string;
  schema: SchemaDefinition;
  fields: Field[];
  values: ({ value: string | number } & Lifetime)[];
}

interface Family {
  name: string;
  /** What the documents are, for the head of the generated files. */
  title: string;
  definitions: Definition[];
}

/** The generated files by path, relative to the repository. */
export async function generateHcsSchema(root: string): Promise<Map<string, string>> {
  const folder = join(root, 'packages/schema/hcs-schema');
  const load = async (file: string): Promise<Schema> =>
    JSON.parse(await readFile(join(folder, file), 'utf8'));
  const published = await Promise.all(
    publishedSchemas.map(async ([build, file]) => ({ build, schema: await load(file) })),
  );
  const alone = async (file: string): Promise<Definition[]> =>
    merge([{ build: oldestBuild, schema: await load(file) }]);
  const families: Family[] = [
    {
      name: 'v2',
      title: 'Documents of the Host Compute Service, schema 2',
      definitions: addSupplement(published, await load('supplement-v2.json')),
    },
    {
      name: 'v1',
      title: 'Documents of the Host Compute Service, schema 1',
      definitions: await alone('schema-v1.json'),
    },
    {
      name: 'hcn',
      title: 'Documents of the Host Compute Network service',
      definitions: await alone('schema-hcn.json'),
    },
    {
      name: 'hns',
      title: 'Documents of the Host Networking Service, schema 1',
      definitions: await alone('schema-hns.json'),
    },
  ];
  const files = new Map<string, string>();
  for (const family of families) {
    const names = new Set(family.definitions.map(({ name }) => typeName(name)));
    if (names.size < family.definitions.length)
      throw new Error(`Cannot name the types of "${family.name}": two are alike`);
    const path = `packages/schema/src/generated/hcs/${family.name}`;
    files.set(`${path}.ts`, typesFile(family));
    files.set(`${path}-table.ts`, tableFile(family));
  }
  return files;
}

/** One set of definitions from the schemas of several builds; where they differ, the newest one's form counts. */
function merge(
  schemas: { build: number; schema: Schema }[],
  renames: Record<string, string> = {},
): Definition[] {
  const renamed = (name: string): string => renames[name] ?? name;
  const definitions = new Map<string, Definition>();
  for (const { build, schema } of schemas) {
    for (const [oldName, entry] of Object.entries(schema.definitions)) {
      const name = renamed(oldName);
      const known = definitions.get(name);
      const definition: Definition = known ?? {
        name,
        schema: entry,
        fields: [],
        values: [],
        ...startsAt(build),
      };
      definitions.set(name, definition);
      definition.schema = entry;
      definition.until = build;
      for (const [field, property] of Object.entries(entry.properties ?? {})) {
        const kept = definition.fields.find((other) => other.name === field);
        const renamedProperty = mapReferences(property, renamed);
        if (kept) Object.assign(kept, { property: renamedProperty, until: build });
        else
          definition.fields.push({
            name: field,
            property: renamedProperty,
            until: build,
            ...(known ? startsAt(build) : pick(definition.since)),
          });
      }
      for (const value of entry.enum ?? []) {
        const kept = definition.values.find((other) => other.value === value);
        if (kept) kept.until = build;
        else
          definition.values.push({
            value,
            until: build,
            ...(known ? startsAt(build) : pick(definition.since)),
          });
      }
    }
  }
  const last = schemas.at(-1)?.build;
  for (const definition of definitions.values()) {
    for (const thing of [definition, ...definition.fields, ...definition.values])
      if (thing.until === last) delete thing.until;
  }
  return [...definitions.values()];
}

function startsAt(build: number): Lifetime {
  return build === oldestBuild ? {} : { since: build };
}

function pick(since: number | undefined): Lifetime {
  return since === undefined ? {} : { since };
}

function mapReferences(property: SchemaProperty, rename: (name: string) => string): SchemaProperty {
  const name = property.$ref?.slice('#/definitions/'.length);
  return {
    ...property,
    ...(name === undefined ? {} : { $ref: `#/definitions/${rename(name)}` }),
    ...(property.items ? { items: mapReferences(property.items, rename) } : {}),
    ...(property.additionalProperties
      ? { additionalProperties: mapReferences(property.additionalProperties, rename) }
      : {}),
  };
}

/** The published schemas with what the supplement knows beyond them. */
function addSupplement(published: { build: number; schema: Schema }[], supplement: Schema): Definition[] {
  const definitions = merge(published, supplement['x-renames']);
  for (const [name, entry] of Object.entries(supplement['x-earlier'] ?? {})) {
    const definition = definitions.find((other) => other.name === name);
    if (!definition) throw new Error(`Cannot correct "${name}": no schema defines it`);
    for (const thing of [...definition.fields, ...definition.values]) {
      const version =
        typeof entry === 'string' ? entry : entry['name' in thing ? thing.name : String(thing.value)];
      if (version !== undefined) setStart(thing, version);
    }
    const starts = [...definition.fields, ...definition.values].map(({ since }) => since ?? oldestBuild);
    const earliest = Math.min(...starts);
    if (earliest === oldestBuild) delete definition.since;
    else definition.since = earliest;
  }
  for (const added of merge([{ build: oldestBuild, schema: supplement }])) {
    const definition = definitions.find((other) => other.name === added.name);
    if (!definition) {
      definitions.push(added);
      continue;
    }
    for (const field of added.fields) {
      if (definition.fields.some((other) => other.name === field.name))
        throw new Error(`Cannot add "${added.name}.${field.name}": it is published`);
      definition.fields.push(field);
    }
    definition.values.push(...added.values);
  }
  return definitions;
}

function setStart(thing: Lifetime, version: string): void {
  const build = buildOfVersion[version];
  if (build === undefined) throw new Error(`Cannot tell the build of schema version "${version}"`);
  if (build === oldestBuild) delete thing.since;
  else thing.since = build;
}

/** Microsoft's names without the underscore: `VirtualMachine_Memory` is `VirtualMachineMemory`. */
function typeName(name: string): string {
  return name.replaceAll('_', '');
}

/** A property's type as the table spells it: a base type, `[]` for a list of it, `{}` for a map of it. */
function tableType(property: SchemaProperty): string {
  if (property.items) return `${tableType(property.items)}[]`;
  const insensitiveMap = property.type?.match(/^CaseInsensitiveStringMap<(?:\w+\.)*(\w+)>$/)?.[1];
  if (insensitiveMap) return `${typeName(insensitiveMap)}{}`;
  if (property.$ref) return typeName(property.$ref.slice('#/definitions/'.length));
  if (property.additionalProperties) return `${tableType(property.additionalProperties)}{}`;
  switch (property.type) {
    case 'object':
      return 'any';
    case 'boolean':
      return 'boolean';
    case 'number':
      return 'double';
    case 'integer':
      if (property.format) return property.format;
      break;
    case 'string':
      if (property.pattern?.startsWith('^[0-9A-Fa-f]{8}-')) return 'guid';
      if (property.format === 'byte' || property.format === 'binary') return 'base64';
      if (property.format === 'date-time') return 'datetime';
      if (property.format === 'mac-address') return 'mac';
      if (property.format === undefined && property.pattern === undefined) return 'string';
  }
  throw new Error(`Cannot tell the type of ${JSON.stringify(property)}`);
}

const scalarTypes: Record<string, string> = {
  any: 'unknown',
  boolean: 'boolean',
  string: 'string',
  guid: 'string',
  base64: 'string',
  datetime: 'string',
  mac: 'string',
};
const integerTypes = ['uint8', 'uint16', 'uint32', 'uint64', 'int32', 'int64', 'double'];

/** What a reader of the docstring should know about a scalar that TypeScript cannot say. */
const scalarNotes: Record<string, string> = {
  guid: 'A GUID.',
  base64: 'Bytes in base64.',
  datetime: 'A time in ISO 8601.',
  mac: 'A MAC address.',
  ...Object.fromEntries(integerTypes.slice(0, -1).map((name) => [name, `A ${name}.`])),
};

function typescriptType(type: string): string {
  if (type.endsWith('[]')) {
    const item = typescriptType(type.slice(0, -2));
    return item.includes(' ') ? `(${item})[]` : `${item}[]`;
  }
  if (type.endsWith('{}')) return `Record<string, ${typescriptType(type.slice(0, -2))}>`;
  return scalarTypes[type] ?? (integerTypes.includes(type) ? 'number' : type);
}

function sentence(text: string): string {
  const line = text.replaceAll(/\s+/g, ' ').replaceAll('*/', '* /').trim();
  return line === '' || /[.!?:]$/.test(line) ? line : `${line}.`;
}

function lifetimeNote({ since, until }: Lifetime): string {
  return [
    since === undefined ? '' : `Since Windows build ${since}.`,
    until === undefined ? '' : `Not in the schemas after Windows build ${until}.`,
  ]
    .filter(Boolean)
    .join(' ');
}

/** What the definition's own docstring does not say already. */
function ownLifetimeNote(part: Lifetime, whole: Lifetime): string {
  return lifetimeNote({
    ...(part.since === undefined || part.since === whole.since ? {} : { since: part.since }),
    ...(part.until === undefined || part.until === whole.until ? {} : { until: part.until }),
  });
}

function docstring(indent: string, ...sentences: string[]): string {
  const text = sentences.map(sentence).filter(Boolean).join(' ');
  return text === '' ? '' : `${indent}/** ${text} */\n`;
}

function typesFile(family: Family): string {
  const sorted = [...family.definitions].sort(byName);
  const documents = sorted.filter(isObject).map(({ name }) => `  ${typeName(name)}: ${typeName(name)};\n`);
  return [
    header(`${family.title}: their types.`),
    ...sorted.map(typeOf),
    `/** Every document by its name. */\nexport interface Documents {\n${documents.join('')}}\n`,
  ].join('\n');
}

function typeOf(definition: Definition): string {
  const { schema } = definition;
  const name = typeName(definition.name);
  const about = docstring('', schema.description ?? '', lifetimeNote(definition), bitsNote(schema));
  if (!isObject(definition)) {
    if (definition.values.length === 0) return `${about}export type ${name} = number;\n`;
    const values = definition.values.map((entry, index) => {
      const meaning = schema['x-names']?.[index] ?? '';
      const version = schema['x-versions']?.[String(entry.value)];
      const note = docstring(
        '  ',
        meaning,
        ownLifetimeNote(entry, definition),
        version ? `Since HCN schema ${version}` : '',
      );
      const literal = typeof entry.value === 'number' ? String(entry.value) : quote(entry.value);
      return `${note}  | ${literal}`;
    });
    return `${about}export type ${name} =\n${values.join('\n')};\n`;
  }
  const fields = definition.fields.map((field) => memberOf(field, definition));
  const dependent = definition.fields.find(({ property }) => property['x-settings-of']);
  if (!dependent) return `${about}export interface ${name} {\n${fields.join('')}}\n`;
  const { field, types } = dependent.property['x-settings-of'] as {
    field: string;
    types: Record<string, string>;
  };
  const type = tableType((definition.fields.find((other) => other.name === field) as Field).property);
  const cases = Object.entries(types).map(
    ([value, settings]) => `  | { ${field}: ${quote(value)}; ${dependent.name}?: ${typeName(settings)} }`,
  );
  const rest = Object.keys(types).map(quote).join(' | ');
  cases.push(`  | { ${field}: Exclude<${type}, ${rest}>; ${dependent.name}?: unknown }`);
  return `${about}export type ${name} =\n${cases.join('\n')};\n`;
}

function memberOf(field: Field, definition: Definition): string {
  const { property } = field;
  const type = tableType(property);
  const base = type.replaceAll(/\[\]|\{\}/g, '');
  const note = docstring(
    '  ',
    property.description ?? '',
    type === base ? (scalarNotes[base] ?? '') : '',
    ownLifetimeNote(field, definition),
    property['x-version'] ? `Since HCN schema ${property['x-version']}` : '',
    property['x-source'] ? `Known from upstream's ${property['x-source']}, not published` : '',
  );
  return `${note}  ${propertyKey(field.name)}?: ${typescriptType(type)};\n`;
}

function bitsNote(schema: SchemaDefinition): string {
  const bits = Object.entries(schema['x-bits'] ?? {});
  return bits.length === 0
    ? ''
    : `Bits: ${bits.map(([name, bit]) => `0x${bit.toString(16)} ${name}`).join(', ')}`;
}

function tableFile(family: Family): string {
  const rows = [...family.definitions].sort(byName).map((definition) => {
    const since = definition.since === undefined ? '' : `since: ${definition.since}, `;
    return `  ${propertyKey(typeName(definition.name))}: { ${since}${isObject(definition) ? fieldsRow(definition) : valuesRow(definition)} },`;
  });
  return [
    header(`${family.title}: the table that the validator walks.`),
    "import type { DocumentTable } from '../../document-table.ts';\n",
    `export const table: DocumentTable = {\n${rows.join('\n')}\n};\n`,
  ].join('\n');
}

function fieldsRow(definition: Definition): string {
  const fields = definition.fields.map(({ name, property, since }) => {
    const mark = since === undefined || since === definition.since ? '' : `@${since}`;
    return `${propertyKey(name)}: ${quote(tableType(property) + mark)}`;
  });
  const dependent = definition.fields.find(({ property }) => property['x-settings-of']);
  const row = fields.length === 0 ? 'fields: {}' : `fields: { ${fields.join(', ')} }`;
  if (!dependent) return row;
  const { field, types } = dependent.property['x-settings-of'] as {
    field: string;
    types: Record<string, string>;
  };
  const cases = Object.entries(types).map(
    ([value, type]) => `${propertyKey(value)}: ${quote(typeName(type))}`,
  );
  return `${row}, settings: { field: ${quote(dependent.name)}, of: ${quote(field)}, types: { ${cases.join(', ')} } }`;
}

function valuesRow(definition: Definition): string {
  if (definition.values.length === 0)
    return `integer: ${quote(tableType(definition.schema as SchemaProperty))}`;
  const late = definition.values.filter(({ since }) => since !== undefined && since !== definition.since);
  const values = definition.values.map(({ value }) => (typeof value === 'number' ? value : quote(value)));
  const marks = late.map(({ value, since }) => `${propertyKey(String(value))}: ${since}`);
  return `values: [${values.join(', ')}]${marks.length === 0 ? '' : `, valuesSince: { ${marks.join(', ')} }`}`;
}

function isObject(definition: Definition): boolean {
  return definition.schema.type === 'object';
}

function byName(a: Definition, b: Definition): number {
  const [left, right] = [typeName(a.name), typeName(b.name)];
  return left < right ? -1 : left > right ? 1 : 0;
}

function propertyKey(name: string): string {
  return /^[A-Za-z_]\w*$/.test(name) ? name : quote(name);
}

function quote(text: string): string {
  return `'${text.replaceAll(/['\\]/g, '\\$&')}'`;
}

function header(title: string): string {
  return `// Generated by tools/generate-hcs-schema.ts from packages/schema/hcs-schema, do not edit.\n/** ${title} */\n`;
}
