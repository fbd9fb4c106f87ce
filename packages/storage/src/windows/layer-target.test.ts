import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isHcsError } from '@hcsshim/schema';
import { layerName } from './layer-target.ts';

test('a layer has files, hives and the files of a utility VM, and nothing else', () => {
  const right = [
    'Files',
    'Files\\a',
    'Hives',
    'Hives\\System_Delta',
    'UtilityVM',
    'UtilityVM\\Files',
    'UtilityVM\\Files\\a\\b',
  ];
  for (const name of right) {
    assert.equal(layerName(name), name);
    assert.equal(layerName(name.replaceAll('\\', '/')), name);
  }
  const wrong = [
    '',
    'a',
    'files',
    'Files2',
    'UtilityVM\\a',
    'UtilityVM\\files',
    'tombstones.txt',
    'Files\\..\\a',
  ];
  for (const name of wrong)
    assert.throws(
      () => layerName(name),
      (error) => isHcsError(error, 'E_INVALIDARG'),
      name,
    );
});
