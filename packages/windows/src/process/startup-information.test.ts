import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { kernel32 } from '../dlls/kernel32.ts';
import { koffi } from '../koffi.ts';
import type { Handle } from '../procedure.ts';
import { replaceProcedures } from '../replaced-procedures.fixture.ts';
import {
  processInformationLayout,
  StartupInformation,
  startupInformationLayout,
} from './startup-information.ts';

const handle = (value: bigint) => value as Handle<'HANDLE'>;
const nothing = {
  stdInput: undefined,
  stdOutput: undefined,
  stdError: undefined,
  job: undefined,
  pseudoConsole: undefined,
  parent: undefined,
};

/** The list of attributes as Windows keeps it: values by their addresses, which must hold when the process is created. */
function watchAttributes(): Disposable & { read(): Record<string, bigint[] | bigint>; deleted: number } {
  const updates: { attribute: bigint; value: bigint; size: bigint }[] = [];
  const replaced = replaceProcedures(kernel32, {
    InitializeProcThreadAttributeList: ({ list, count, size }) => {
      assert.ok(list instanceof Buffer && size >= BigInt(24 + 24 * count) && size <= BigInt(list.length));
      return { size };
    },
    UpdateProcThreadAttribute: (update) => void updates.push(update) as undefined,
    DeleteProcThreadAttributeList: () => void watched.deleted++ as undefined,
  });
  const watched = {
    deleted: 0,
    read: () =>
      Object.fromEntries(
        updates.map(({ attribute, value, size }) => {
          if (attribute === 0x20016n) return [attribute.toString(16), value];
          const bytes = Buffer.from(koffi().view(value, Number(size)).slice(0));
          const handles = Array.from({ length: bytes.length / 8 }, (_, at) => bytes.readBigUInt64LE(8 * at));
          return [attribute.toString(16), handles];
        }),
      ),
    [Symbol.dispose]: () => replaced[Symbol.dispose](),
  };
  return watched;
}

describe('what a new process is started with', () => {
  test('is as large, and has its fields, as mingw-w64 compiles it for x64', () => {
    assert.equal(startupInformationLayout.size, 112);
    assert.equal(processInformationLayout.size, 24);
    const bytes = startupInformationLayout.encode({
      flags: 0x77,
      stdInput: 1n,
      stdError: 2n,
      attributeList: 3n,
    });
    assert.equal(bytes.readUInt32LE(60), 0x77);
    assert.deepEqual(
      [80, 96, 104].map((at) => bytes.readBigUInt64LE(at)),
      [1n, 2n, 3n],
    );
    assert.equal(processInformationLayout.encode({ processId: 9 }).readUInt32LE(16), 9);
  });

  test('inherits its streams and no other handle, each once', () => {
    using attributes = watchAttributes();
    using startup = new StartupInformation({
      ...nothing,
      stdOutput: handle(0x14n),
      stdError: handle(0x14n),
      stdInput: handle(0x10n),
    });
    assert.deepEqual(attributes.read(), { '20002': [0x10n, 0x14n] });
    const read = startupInformationLayout.decode(startup.memory);
    assert.deepEqual(
      [read.flags, read.stdInput, read.stdOutput, read.stdError],
      [0x100, 0x10n, 0x14n, 0x14n],
    );
    assert.equal(read.attributeList, koffi().address(startup.memory) + 112n);
  });

  test('has its job and parent by address, and its pseudo console by value', () => {
    using attributes = watchAttributes();
    {
      using _ = new StartupInformation({
        ...nothing,
        job: handle(0x20n),
        parent: handle(0x24n),
        pseudoConsole: 0x123456n as Handle<'HPCON'>,
      });
      assert.deepEqual(attributes.read(), { '2000d': [0x20n], '20000': [0x24n], '20016': 0x123456n });
      assert.equal(attributes.deleted, 0);
    }
    assert.equal(attributes.deleted, 1);
  });
});
