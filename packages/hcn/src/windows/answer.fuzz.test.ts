import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isHcsError } from '@hcsshim/schema';
import fc from 'fast-check';
import { readDocument, readIds } from './answer.ts';
import { readErrorRecord } from './network-error.ts';
import { endpointKind } from './object-kinds.ts';

const { shape } = endpointKind;
const id = '01234567-89ab-cdef-0123-456789abcdef';

/** Texts that are JSON or nearly, with the names that are looked for. */
const names = fc.constantFrom('ID', 'Success', 'Error', 'ErrorCode', ...Object.keys(shape));
const values = fc.oneof(fc.jsonValue(), fc.constant(id), fc.array(fc.constant(id)));
const documents = fc.oneof(fc.dictionary(names, values), fc.array(values), fc.jsonValue());
const texts = fc.oneof(
  fc.string(),
  documents.map((value) => JSON.stringify(value)),
  fc.tuple(documents, fc.nat(200)).map(([value, end]) => JSON.stringify(value).slice(0, end)),
);

function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    assert.ok(isHcsError(error, 'ERROR_INVALID_DATA'), String(error));
    assert.ok(error.message.length < 500, error.message);
    return undefined;
  }
}

test('whatever the service answers is a document of the shape, a list of ids, or an error', () => {
  fc.assert(
    fc.property(texts, (text) => {
      const document = attempt(() =>
        readDocument<{ Name?: string; Policies?: unknown[] }>('read', text, shape),
      );
      if (document !== undefined) {
        assert.match(document.ID, /^\{?[0-9a-f-]{36}\}?$/i);
        assert.ok(document.Name === undefined || document.Name === null || typeof document.Name === 'string');
        for (const policy of document.Policies ?? []) assert.equal(typeof policy, 'object');
      }
      for (const one of attempt(() => readIds('list', text)) ?? []) assert.equal(typeof one, 'string');
    }),
    { numRuns: 2000 },
  );
});

test('whatever an error record is, it gives words and a code of their types', () => {
  fc.assert(
    fc.property(fc.option(texts), (text) => {
      const { words, code, success } = readErrorRecord(text);
      assert.ok(words === undefined || (words.length > 0 && words.length <= 1024));
      assert.ok(code === undefined || (Number.isInteger(code) && code > 0 && code <= 0xffffffff));
      assert.ok(success === undefined || typeof success === 'boolean');
    }),
    { numRuns: 2000 },
  );
});
