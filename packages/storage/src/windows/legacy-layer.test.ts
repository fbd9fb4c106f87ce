import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { isHcsError } from '@hcsshim/schema';
import fc from 'fast-check';
import {
  decodeAttributes,
  decodeTombstones,
  directoryDataName,
  encodeAttributes,
  encodeTombstones,
  isBelow,
  isDirectoryData,
  maxTombstonesBytes,
} from './legacy-layer.ts';

const header = '\ufeffVersion 1.0\r\n';
const refused = (error: unknown) => isHcsError(error, 'ERROR_INVALID_DATA');

describe('tombstones.txt', () => {
  test('has a mark, a version, and a path below Files in each line', () => {
    const golden = Buffer.from('efbbbf56657273696f6e20312e300d0a5c57696e646f77735c610d0a5cc3a90d0a', 'hex');
    const paths = ['Files\\Windows\\a', 'Files\\é'];
    assert.deepEqual(encodeTombstones(paths), golden);
    assert.deepEqual(decodeTombstones(golden), paths);
    assert.deepEqual(decodeTombstones(Buffer.from(header)), []);
    assert.deepEqual(decodeTombstones(Buffer.from('\ufeffVersion 1.0\n\\a')), ['Files\\a']);
  });

  test('gives back what was written', () => {
    const name = fc
      .string({ minLength: 1, maxLength: 12, unit: 'grapheme' })
      .filter((text) => !/[\\/:\r\n\0]/.test(text) && text !== '.' && text !== '..');
    fc.assert(
      fc.property(fc.array(fc.array(name, { minLength: 1, maxLength: 4 })), (names) => {
        const paths = names.map((parts) => ['Files', ...parts].join('\\'));
        assert.deepEqual(decodeTombstones(encodeTombstones(paths)), paths);
      }),
    );
  });

  test('leads nowhere else', () => {
    for (const line of ['a', '\\..\\a', '\\', '\\\\server\\share', '\\C:\\a', '\\a:stream', '\\a\0'])
      assert.throws(() => decodeTombstones(Buffer.from(`${header}${line}`)), refused, line);
    for (const path of ['Hives\\a', 'Files', 'a', 'Files\\a\nb'])
      assert.throws(() => encodeTombstones([path]), refused, path);
  });

  test('of another version, or too large, is refused', () => {
    for (const text of ['', 'Version 1.0', '\ufeffVersion 2.0', 'PK'])
      assert.throws(() => decodeTombstones(Buffer.from(text)), {
        message: /^Cannot read tombstones\.txt: it does not begin with "Version 1\.0", /,
      });
    assert.throws(() => decodeTombstones(Buffer.alloc(maxTombstonesBytes + 1)), refused);
  });
});

describe('a file in the exchange form', () => {
  test('has its attributes first', () => {
    assert.deepEqual(encodeAttributes(0x80000020), Buffer.from('20000080', 'hex'));
    assert.equal(decodeAttributes(Buffer.from('20000080ff', 'hex')), 0x80000020);
    assert.throws(() => decodeAttributes(Buffer.alloc(3)), refused);
  });

  test('is beside a directory what the directory has', () => {
    assert.equal(directoryDataName('Files\\a'), 'Files\\a.$wcidirs$');
    assert.ok(isDirectoryData('Files\\a.$wcidirs$') && !isDirectoryData('Files\\a'));
  });

  test('is below a folder when the folder is not all of its path', () => {
    assert.ok(isBelow('Files\\a', 'Files'));
    for (const path of ['Files', 'Files2\\a', 'files\\a']) assert.ok(!isBelow(path, 'Files'), path);
  });
});
