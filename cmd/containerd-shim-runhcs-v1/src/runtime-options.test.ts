import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { AnySchema, anyPack } from '@bufbuild/protobuf/wkt';
import { OptionsSchema } from './generated/containerd/runhcs/v1/options_pb.ts';
import { OptionsSchema as ConfigOptionsSchema } from './generated/runtimeoptions/v1/options_pb.ts';
import { parseRuntimeOptions, readOptionsStream } from './runtime-options.ts';

const pack = (options: MessageInitShape<typeof OptionsSchema>) =>
  anyPack(OptionsSchema, create(OptionsSchema, options));
const packPath = (configPath: string) =>
  anyPack(ConfigOptionsSchema, create(ConfigOptionsSchema, { typeUrl: '', configPath }));

test('no options, and options of a runtime that is not known to its client, mean nothing', async () => {
  assert.equal(await readOptionsStream(Readable.from([])), undefined);
  assert.deepEqual(await parseRuntimeOptions(undefined), { annotations: {} });
  assert.deepEqual(await parseRuntimeOptions(create(AnySchema)), { annotations: {} });
  assert.deepEqual(await parseRuntimeOptions(packPath('')), { annotations: {} });
});

test('options arrive as an Any on a stream, in whatever pieces', async () => {
  const bytes = toBinary(AnySchema, pack({ debug: true, vmProcessorCount: 4, bootFilesRootPath: '/boot' }));
  const any = await readOptionsStream(Readable.from([bytes.subarray(0, 5), bytes.subarray(5)]));
  assert.deepEqual(await parseRuntimeOptions(any), {
    logLevel: 'debug',
    annotations: {
      'io.microsoft.virtualmachine.computetopology.processor.count': '4',
      'io.microsoft.virtualmachine.lcow.bootfilesrootpath': '/boot',
    },
  });
});

test('the log level wins over debug', async () => {
  assert.equal((await parseRuntimeOptions(pack({ debug: true, logLevel: 'warn' }))).logLevel, 'warning');
});

test('a JSON file has the same fields, in either spelling', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'shim-options-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const path = join(directory, 'options.json');
  writeFileSync(path, '{"vm_memory_size_in_mb": 300, "defaultContainerScratchSizeInGb": 7}');
  assert.deepEqual((await parseRuntimeOptions(packPath(path))).annotations, {
    'io.microsoft.virtualmachine.computetopology.memory.sizeinmb': '300',
    'io.microsoft.container.storage.scratch.sizeingb': '7',
  });
  writeFileSync(path, 'debug = true');
  await assert.rejects(parseRuntimeOptions(packPath(path)), {
    code: 'InvalidArgument',
    message: /must be JSON/,
  });
});

test('options that cannot be used are refused in words', async () => {
  await assert.rejects(
    readOptionsStream(Readable.from([Buffer.from([1, 2, 3])])),
    /they are not a protobuf Any/,
  );
  await assert.rejects(readOptionsStream(Readable.from([Buffer.alloc(2 ** 20 + 1)])), /longer than/);
  await assert.rejects(parseRuntimeOptions(packPath('/nowhere.json')), /cannot be read/);
  await assert.rejects(parseRuntimeOptions(pack({ logLevel: 'loud' })), /log level "loud" is unknown/);
  const broken = create(AnySchema, { typeUrl: OptionsSchema.typeName, value: Uint8Array.of(255) });
  await assert.rejects(parseRuntimeOptions(broken), /they are not a valid containerd.runhcs.v1.Options/);
  const foreign = create(AnySchema, { typeUrl: 'containerd.runc.v1.Options' });
  await assert.rejects(parseRuntimeOptions(foreign), /"containerd.runc.v1.Options" is unknown/);
});
