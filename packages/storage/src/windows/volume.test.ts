import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { sectorsWanted } from './volume.ts';

const GIB = 1n << 30n;

describe('a volume whose partition has grown', () => {
  test('gets as many sectors as the partition has whole clusters of them', () => {
    assert.equal(sectorsWanted(2n * GIB, GIB), (2n * GIB) / 512n);
    assert.equal(sectorsWanted(2n * GIB + 4095n, GIB), (2n * GIB) / 512n);
  });

  test('stays as it is when only the cluster is missing that NTFS keeps for itself', () => {
    assert.equal(sectorsWanted(GIB, GIB - 4096n), undefined);
    assert.equal(sectorsWanted(GIB, GIB), undefined);
    assert.equal(sectorsWanted(GIB, GIB - 8192n), GIB / 512n);
  });
});
