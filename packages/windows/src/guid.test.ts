import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { guidFromBytes, guidToBytes, newGuid } from './guid.ts';

test('the text of a GUID has its first three fields in the byte order of Windows', () => {
  const bytes = Buffer.from('00112233445566778899aabbccddeeff', 'hex');
  assert.equal(guidFromBytes(bytes), '33221100-5544-7766-8899-aabbccddeeff');
  assert.deepEqual(guidToBytes('{33221100-5544-7766-8899-AABBCCDDEEFF}'), bytes);
});

test('a GUID of a text is the beginning of its SHA-1', () => {
  // SHA-1 of "abc", from FIPS 180: a9993e36 4706816a ba3e2571 7850c26c 9cd0d89d
  assert.equal(newGuid('abc'), '363e99a9-0647-6a81-ba3e-25717850c26c');
  for (const source of ['', 'layer', 'Schicht ä']) {
    const hash = createHash('sha1').update(Buffer.from(source)).digest('hex');
    assert.equal(guidToBytes(newGuid(source)).toString('hex'), hash.slice(0, 32));
  }
});
