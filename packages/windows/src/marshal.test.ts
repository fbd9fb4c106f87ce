import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { DllCallError } from './dll-call-error.ts';
import { guidFromBytes, guidToBytes } from './guid.ts';
import { Marshaller, type StringOwner } from './marshal.ts';
import type { Procedure } from './procedure.ts';

const dll = { file: 'x.dll', build: 1, source: 'a test', procedures: {} };

function marshal(procedure: Omit<Procedure, 'purpose'>): Marshaller {
  return new Marshaller(dll, 'Call', { ...procedure, purpose: 'Test' });
}

/** Strings by address, and what became of them. */
class Heap implements StringOwner {
  readonly freed: string[] = [];
  readonly #strings: Map<bigint, string>;

  constructor(strings: Record<string, string>) {
    this.#strings = new Map(Object.entries(strings).map(([address, text]) => [BigInt(address), text]));
  }

  takeLocalString(address: bigint): string {
    return this.#take(address, 'LocalFree');
  }

  takeCoTaskMemString(address: bigint): string {
    return this.#take(address, 'CoTaskMemFree');
  }

  #take(address: bigint, how: string): string {
    const text = this.#strings.get(address);
    assert.notEqual(text, undefined, `freed twice, or never given: ${address}`);
    this.#strings.delete(address);
    this.freed.push(`${how} ${address}`);
    return text as string;
  }
}

const noStrings = new Heap({});

describe('arguments', () => {
  test('go in by the order of the prototype, missing ones as null', () => {
    const marshaller = marshal({
      returns: 'HRESULT',
      parameters: { id: 'PCWSTR', system: 'HCS_SYSTEM', options: 'PCWSTR?', user: 'HANDLE?', on: 'BOOL' },
    });
    assert.deepEqual(marshaller.parameters, [
      'const char16_t *',
      'uint64',
      'const char16_t *',
      'uint64',
      'int32',
    ]);
    const { values } = marshaller.prepare({ on: true, system: 7n, id: 'é\u{1f600}\ud800' });
    assert.deepEqual(values, ['é\u{1f600}\ud800', 7n, null, 0n, 1]);
  });

  test('of the wrong type are refused with procedure and parameter named', () => {
    const refused: [Procedure['parameters'][string], unknown, RegExp][] = [
      ['PCWSTR', 5, /not a string but number/],
      ['PCWSTR', undefined, /not a string but undefined/],
      ['PCWSTR', 'a\0b', /NUL character/],
      ['PCWSTR?', 5, /not a string/],
      ['DWORD', -1, /from 0 to 4294967295 but -1/],
      ['DWORD', 1.5, /but 1\.5/],
      ['DWORD', 2 ** 32, /but 4294967296/],
      ['INT', 2 ** 31, /but 2147483648/],
      ['UINT64', 1, /not a bigint of 64 bits but 1/],
      ['UINT64', 1n << 64n, /not a bigint/],
      ['HCS_SYSTEM', 0n, /a null handle/],
      ['HCS_SYSTEM', null, /not a bigint/],
      ['BOOL', 1, /not a boolean/],
      ['GUID', 'no guid', /Cannot use "no guid" as a GUID/],
      ['memory X', 'text', /not a bigint/],
      ['inout DWORD', '5', /not an integer/],
    ];
    for (const [kind, value, message] of refused) {
      const marshaller = marshal({ returns: 'void', parameters: { it: kind } });
      assert.throws(
        () => marshaller.prepare({ it: value }),
        (error: Error) => {
          assert.ok(error instanceof TypeError);
          assert.match(error.message, /^Cannot call "Call": "it" is /);
          assert.match(error.message, message);
          return true;
        },
      );
    }
  });

  test('that count go in, and come out changed', () => {
    const marshaller = marshal({
      returns: 'HRESULT',
      parameters: { length: 'inout SIZE_T', buffer: 'memory X' },
    });
    const buffer = new Uint8Array(4);
    const call = marshaller.prepare({ length: 5n, buffer });
    const [length, given] = call.values as [Buffer, Uint8Array];
    assert.equal(length.readBigUInt64LE(), 5n);
    assert.equal(given, buffer);
    length.writeBigUInt64LE(9n);
    assert.deepEqual(marshaller.finish(call, 0, 0, noStrings), { length: 9n });
  });
});

describe('results', () => {
  test('come by name, and each string is freed once in its own way', () => {
    const marshaller = marshal({
      returns: 'HRESULT',
      parameters: {
        a: 'out LocalString',
        b: 'out CoTaskMemString',
        c: 'out LocalString',
        d: 'out HCS_SYSTEM',
      },
    });
    const call = marshaller.prepare({});
    const [a, b, , d] = call.values as [Buffer, Buffer, Buffer, Buffer];
    a.writeBigUInt64LE(0x1000n);
    b.writeBigUInt64LE(0x2000n);
    d.writeBigUInt64LE(0xffffffffffffffffn);
    const heap = new Heap({ 4096: 'first', 8192: 'second' });
    assert.deepEqual(marshaller.finish(call, 1, 0, heap), {
      a: 'first',
      b: 'second',
      c: null,
      d: (1n << 64n) - 1n,
    });
    assert.deepEqual(heap.freed, ['LocalFree 4096', 'CoTaskMemFree 8192']);
  });

  test('of a failed call are freed too, and its document is in the error', () => {
    const marshaller = marshal({
      returns: 'HRESULT',
      parameters: { system: 'out HCS_SYSTEM', result: 'out CoTaskMemString' },
    });
    const call = marshaller.prepare({});
    (call.values[1] as Buffer).writeBigUInt64LE(0x1000n);
    const heap = new Heap({ 4096: '{"ErrorMessage":"no"}' });
    assert.throws(
      () => marshaller.finish(call, 0x8037010e | 0, 0, heap),
      (error) => {
        assert.ok(error instanceof DllCallError);
        assert.equal(error.document, '{"ErrorMessage":"no"}');
        assert.equal(
          error.message,
          'Cannot complete "Call" of "x.dll": it failed with HRESULT 0x8037010E',
          'no document in the message: it may tell of users',
        );
        return true;
      },
    );
    assert.deepEqual(heap.freed, ['CoTaskMemFree 4096']);
  });

  test('of a call that may be pending say whether it is, with what it gave', () => {
    const marshaller = marshal({ returns: 'HRESULT or pending', parameters: { system: 'out HCS_SYSTEM' } });
    const call = marshaller.prepare({});
    (call.values[0] as Buffer).writeBigUInt64LE(7n);
    assert.deepEqual(marshaller.finish(call, 0xc0370103 | 0, 0, noStrings), { system: 7n, pending: true });
    assert.deepEqual(marshaller.finish(call, 0, 0, noStrings), { system: 7n, pending: false });
    assert.throws(() => marshaller.finish(call, 0xc0370105 | 0, 0, noStrings), { hresult: 0xc0370105 });
  });

  test('of each kind of failure have their HRESULT', () => {
    const cases: [Procedure['returns'], returned: number | bigint, hresult: number][] = [
      ['HRESULT', -2143878897, 0x8037010f],
      ['NTSTATUS', 0xc0000034 | 0, 0xd0000034],
      ['WIN32_ERROR', 5, 0x80070005],
      ['WIN32_ERROR', 0x80070002, 0x80070002],
      ['CONFIGRET', 13, 0x80004005],
      ['BOOL', 0, 0x80070057],
      ['HANDLE', 0, 0x80070057],
      ['HANDLE', 0n, 0x80070057],
    ];
    for (const [returns, returned, hresult] of cases) {
      const marshaller = marshal({ returns, parameters: {} });
      assert.throws(() => marshaller.finish(marshaller.prepare({}), returned, 0x57, noStrings), { hresult });
    }
  });

  test('are values where the procedure returns one', () => {
    const cases: [Procedure['returns'], returned: unknown, value: unknown][] = [
      ['void', undefined, undefined],
      ['HRESULT', 1, undefined],
      ['BOOL', 5, undefined],
      ['DWORD', 5, 5],
      ['INT', -1, -1],
      ['UINT64', 5, 5n],
      ['ADDRESS', 0, 0n],
      ['HCS_SYSTEM?', 0, null],
      ['HCS_SYSTEM?', 9, 9n],
      ['HANDLE', 9, 9n],
    ];
    for (const [returns, returned, value] of cases) {
      const marshaller = marshal({ returns, parameters: {} });
      assert.equal(marshaller.finish(marshaller.prepare({}), returned, 0, noStrings), value, returns);
    }
  });

  test('with a process tell its id and pipes', () => {
    const marshaller = marshal({ returns: 'HRESULT', parameters: { info: 'out HCS_PROCESS_INFORMATION' } });
    const call = marshaller.prepare({});
    const memory = call.values[0] as Buffer;
    assert.equal(memory.length, 32);
    memory.writeUInt32LE(1234, 0);
    memory.writeBigUInt64LE(0x44n, 16);
    assert.deepEqual(marshaller.finish(call, 0, 0, noStrings), {
      info: { processId: 1234, stdInput: null, stdOutput: 0x44n, stdError: null },
    });
  });
});

describe('GUIDs', () => {
  test('have their first three fields little-endian', () => {
    const bytes = guidToBytes('{00112233-4455-6677-8899-AABBCCDDEEFF}');
    assert.equal(bytes.toString('hex'), '33221100554477668899aabbccddeeff');
    assert.equal(guidFromBytes(bytes), '00112233-4455-6677-8899-aabbccddeeff');
  });

  test('come back as they went', () => {
    fc.assert(fc.property(fc.uuid(), (guid) => guidFromBytes(guidToBytes(guid)) === guid));
  });
});
