import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ContainerConfig } from '@hcsshim/schema/hcs-v1';
import fc from 'fast-check';
import type { ComputeService, ComputeSystem } from '../compute-service.ts';
import { containerDocument, createContainer, isContainerDocument } from './container-document.ts';

const config: ContainerConfig = {
  SystemType: 'Container',
  Name: 'web',
  Owner: 'test',
  HvRuntime: { ImagePath: 'C:\\uvm' },
  Layers: [{ ID: 'a', Path: 'C:\\a' }],
};
const made = (addition: string | undefined, from: ContainerConfig = config): unknown =>
  containerDocument(from, { HCSSHIM_CREATECONTAINER_ADDITIONALJSON: addition });

test('without additional JSON a document stays what it is', () => {
  assert.deepEqual(made(undefined), config);
  assert.deepEqual(made(''), config);
  assert.deepEqual(made('{}'), config);
});

test('additional JSON adds fields, replaces values and lists, and is merged into objects', () => {
  const addition = {
    Owner: 'other',
    Layers: [],
    HvRuntime: { SkipTemplate: true },
    MemoryMaximumInMB: 512,
    Brand: { new: 1 },
  };
  assert.deepEqual(made(JSON.stringify(addition)), {
    ...config,
    ...addition,
    HvRuntime: { ImagePath: 'C:\\uvm', SkipTemplate: true },
  });
});

test('a null leaves an object as it is and takes the place of another value', () => {
  assert.deepEqual(made('{"HvRuntime":null,"Owner":null}'), { ...config, Owner: null });
});

test('what the additional JSON does to a document is checked', () => {
  assert.throws(() => made('{"MemoryMaximumInMB":"much"}'), {
    code: 'HCS_E_INVALID_JSON',
    message: /field "MemoryMaximumInMB" must be a whole number/,
  });
  assert.throws(() => made('{"HvRuntime":"C:"}'), { message: /field "HvRuntime" must be an object/ });
  assert.throws(() => made('{"Name":null}'), {
    code: 'HCS_E_INVALID_JSON',
    message: /must have a SystemType/,
  });
});

test('additional JSON that is none, or no object, is refused without a word of it', () => {
  for (const addition of ['{secret', '["secret"]', '"secret"', 'null', '1']) {
    assert.throws(
      () => made(addition),
      (error: Error & { code: string }) => {
        assert.equal(error.code, 'E_INVALIDARG');
        assert.match(
          error.message,
          /^Cannot use HCSSHIM_CREATECONTAINER_ADDITIONALJSON: it is no JSON object/,
        );
        return !error.message.includes('secret');
      },
    );
  }
});

test('a field that no schema knows may be added, but not be in the document', () => {
  assert.throws(() => made(undefined, { ...config, Brand: 1 } as ContainerConfig), {
    message: /field "Brand" is unknown/,
  });
});

test('a name of Object.prototype is a field like any other', () => {
  const document = made('{"__proto__":{"SystemType":"Host"},"constructor":{"a":1}}') as object;
  assert.ok(Object.hasOwn(document, '__proto__'));
  assert.equal(Object.getPrototypeOf(document), Object.prototype);
  assert.equal(({} as Record<string, unknown>).SystemType, undefined);
});

test('an object has the fields of both, and where both have one the added', () => {
  const runtime = fc.record(
    { ImagePath: fc.string(), SkipTemplate: fc.boolean(), LinuxKernelFile: fc.string() },
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(runtime, runtime, (base, addition) => {
      const before = { ...config, HvRuntime: { ...base } };
      const document = containerDocument(before, {
        HCSSHIM_CREATECONTAINER_ADDITIONALJSON: JSON.stringify({ HvRuntime: addition }),
      });
      assert.deepEqual({ ...document.HvRuntime }, { ...base, ...addition });
      assert.deepEqual(before.HvRuntime, { ...base });
    }),
  );
});

test('documents of schema 1 are told from those of schema 2', () => {
  assert.ok(isContainerDocument(config));
  assert.equal(isContainerDocument({ ...config, SchemaVersion: { Major: 2, Minor: 1 } }), false);
  assert.equal(isContainerDocument({ Owner: 'x', SchemaVersion: { Major: 2, Minor: 1 } }), false);
});

test('a container is created from the merged document', async () => {
  const calls: unknown[] = [];
  const system = {} as ComputeSystem;
  const compute = {
    create: async (...args: unknown[]) => {
      calls.push(args);
      return system;
    },
  } as unknown as ComputeService;
  process.env.HCSSHIM_CREATECONTAINER_ADDITIONALJSON = '{"HostName":"web"}';
  try {
    const { signal } = new AbortController();
    assert.equal(await createContainer(compute, 'x', config, { signal }), system);
    assert.deepEqual(calls, [['x', { ...config, HostName: 'web' }, { signal }]]);
  } finally {
    delete process.env.HCSSHIM_CREATECONTAINER_ADDITIONALJSON;
  }
});
