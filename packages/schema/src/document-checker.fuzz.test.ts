import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { checkerOf } from './document-checker.ts';
import {
  type DocumentDefinition,
  type DocumentTable,
  type FieldType,
  parseFieldType,
  type Resource,
} from './document-table.ts';
import { table as hcn } from './generated/hcs/hcn-table.ts';
import { table as hns } from './generated/hcs/hns-table.ts';
import { table as v1 } from './generated/hcs/v1-table.ts';
import { hcsTable as v2 } from './hcs-table.ts';

/** A value in a generated document: where it is and what may be there. */
interface Place {
  path: string;
  type: FieldType;
  replace(value: unknown): void;
}

type Draw = fc.GeneratorValue;

const guid = fc.uuid();
const scalarArbitraries: Record<string, fc.Arbitrary<unknown>> = {
  any: fc.jsonValue({ maxDepth: 2 }),
  string: fc.string(),
  boolean: fc.boolean(),
  uint8: fc.integer({ min: 0, max: 0xff }),
  uint16: fc.integer({ min: 0, max: 0xffff }),
  uint32: fc.integer({ min: 0, max: 0xffffffff }),
  int32: fc.integer({ min: -0x80000000, max: 0x7fffffff }),
  uint64: fc.maxSafeNat(),
  int64: fc.maxSafeInteger(),
  double: fc.double({ noDefaultInfinity: true, noNaN: true }),
  guid,
  mac: guid.map((text) => (text.replaceAll('-', '').match(/../g) ?? []).slice(0, 6).join('-')),
  base64: fc.base64String(),
  datetime: fc
    .date({ noInvalidDate: true, min: new Date(0), max: new Date(4e12) })
    .map((date) => date.toISOString()),
};

/** Makes documents from a table, by the rules of the table and by other code than the validator's. */
class DocumentMaker {
  readonly places: Place[] = [];
  readonly #table: DocumentTable;
  readonly #draw: Draw;

  constructor(table: DocumentTable, draw: Draw) {
    this.#table = table;
    this.#draw = draw;
  }

  make(type: FieldType, path: string, depth: number): unknown {
    const wrapper = type.wrappers.at(-1);
    const inner = { ...type, wrappers: type.wrappers.slice(0, -1) };
    const count = depth > 0 ? this.#draw(fc.nat, { max: 2 }) : 0;
    if (wrapper === '[]') {
      const list: unknown[] = [];
      for (let index = 0; index < count; index++)
        this.#put(
          list as unknown as Record<string, unknown>,
          String(index),
          inner,
          `${path}[${index}]`,
          depth,
        );
      return list;
    }
    if (wrapper === '{}') {
      const map: Record<string, unknown> = {};
      for (let index = 0; index < count; index++)
        this.#put(map, `k ${index}`, inner, `${path}["k ${index}"]`, depth);
      return map;
    }
    const scalar = scalarArbitraries[type.base];
    if (scalar) return this.#draw(() => scalar);
    const definition = this.#table[type.base] as DocumentDefinition;
    if (definition.integer)
      return this.#draw(() => scalarArbitraries[definition.integer as string] as fc.Arbitrary<unknown>);
    if (definition.values) {
      const words = fc.constantFrom(...definition.values);
      return this.#draw(() => words);
    }
    return this.#makeObject(definition, path, depth);
  }

  #makeObject(definition: DocumentDefinition, path: string, depth: number): object {
    const object: Record<string, unknown> = {};
    const { settings, resources } = definition;
    if (resources) return this.#makeRequest(resources, path, depth);
    for (const [name, text] of Object.entries(definition.fields ?? {})) {
      if (depth === 0 || !this.#draw(fc.boolean)) continue;
      if (name === settings?.field) continue;
      this.#put(object, name, parseFieldType(text), path === '' ? name : `${path}.${name}`, depth);
    }
    if (settings && definition.fields?.[settings.of] === 'string' && settings.of in object) {
      const words = fc.constantFrom(...Object.keys(settings.types));
      object[settings.of] = this.#draw(() => words);
    }
    const type = settings?.types[object[settings.of] as string];
    if (settings && type)
      this.#put(
        object,
        settings.field,
        parseFieldType(type),
        path === '' ? settings.field : `${path}.${settings.field}`,
        depth,
      );
    return object;
  }

  /** Of a request for a change only what its resource decides. */
  #makeRequest(resources: readonly Resource[], path: string, depth: number): object {
    const types = fc.constantFrom(...resources);
    const resource = this.#draw(() => types);
    const numbers = fc.nat().map(String);
    const texts = fc.string({ minLength: 1 }).map((text) => text.replaceAll('/', '\\'));
    const ResourcePath = resource.path.replaceAll(/%[ds]/g, (mark) =>
      this.#draw(() => (mark === '%d' ? numbers : texts)),
    );
    const requests = fc.constantFrom(undefined, ...(resource.requests ?? ['Add', 'Remove', 'Update']));
    const RequestType = this.#draw(() => requests);
    const object: Record<string, unknown> = { ResourcePath, RequestType };
    const settings = resource.ignoredOnRemove && RequestType === 'Remove' ? 'any' : resource.settings;
    const prefix = path === '' ? '' : `${path}.`;
    this.#put(object, 'Settings', parseFieldType(settings), `${prefix}Settings`, depth);
    if (depth > 0 && this.#draw(fc.boolean))
      this.#put(object, 'GuestRequest', parseFieldType('GuestRequest'), `${prefix}GuestRequest`, depth);
    return object;
  }

  #put(target: Record<string, unknown>, key: string, type: FieldType, path: string, depth: number): void {
    target[key] = this.make(type, path, depth - 1);
    this.places.push({ path, type, replace: (value) => (target[key] = value) });
  }
}

/** A value that may not be where `type` is wanted. */
function misfitFor(type: FieldType, table: DocumentTable): unknown {
  if (type.wrappers.at(-1) === '[]') return {};
  if (type.wrappers.at(-1) === '{}') return [];
  if (type.base === 'any') return () => {};
  if (type.base === 'boolean') return 'true';
  if (type.base in scalarArbitraries)
    return ['string', 'guid', 'mac', 'base64', 'datetime'].includes(type.base) ? 12 : 'twelve';
  const definition = table[type.base] as DocumentDefinition;
  if (definition.values) return 'no such word';
  return definition.integer ? 1.5 : { 'no such field': 1 };
}

/** Each with its largest document, which half of the runs are about. */
const families: [name: string, table: DocumentTable, largest: string][] = [
  ['v2', v2, 'ComputeSystem'],
  ["v2's requests for changes", v2, 'ModifySettingRequest'],
  ['v1', v1, 'ContainerConfig'],
  ['hcn', hcn, 'HostComputeNetwork'],
  ['hns', hns, 'HNSEndpoint'],
];

for (const [family, table, largest] of families) {
  const { findFault } = checkerOf<Record<string, unknown>>(table);
  const names = Object.keys(table).filter((name) => table[name]?.fields);

  test(`random documents of ${family} pass, and with one mutation are refused at its path`, () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.constant(largest), fc.constantFrom(...names)),
        fc.gen(),
        fc.nat(),
        (name, draw, pick) => {
          const maker = new DocumentMaker(table, draw);
          const document = maker.make(parseFieldType(name), '', 6);
          assert.equal(findFault(name, document), undefined);
          const place = maker.places[pick % (maker.places.length || 1)];
          if (!place) return;
          const misfit = misfitFor(place.type, table);
          place.replace(misfit);
          const isObject = typeof misfit === 'object' && misfit !== null && 'no such field' in misfit;
          assert.equal(
            findFault(name, document)?.path,
            isObject ? `${place.path}["no such field"]` : place.path,
          );
        },
      ),
      { numRuns: 1000 },
    );
  });

  test(`each definition of ${family} that a field refers to exists, and each field passes from its build on`, () => {
    for (const name of names) {
      for (const [field, text] of Object.entries(table[name]?.fields ?? {})) {
        const type = parseFieldType(text);
        assert.ok(type.base in scalarArbitraries || table[type.base], `${name}.${field}: ${text}`);
        if (type.since === 0) continue;
        const value = { '[]': [], '{}': {}, none: sampleOf(type.base) }[type.wrappers.at(-1) ?? 'none'];
        const late = findFault(name, { [field]: value }, { build: type.since - 1 });
        assert.equal(late?.path, field, `${name}.${field}`);
        assert.equal(
          findFault(name, { [field]: value }, { build: type.since }),
          undefined,
          `${name}.${field}`,
        );
      }
    }

    function sampleOf(base: string): unknown {
      const definition = table[base];
      if (definition) return definition.values?.[0] ?? (definition.integer ? 0 : {});
      return fc.sample(scalarArbitraries[base] as fc.Arbitrary<unknown>, { numRuns: 1, seed: 1 })[0];
    }
  });
}
