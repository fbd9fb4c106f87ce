import assert from 'node:assert/strict';
import { test } from 'node:test';
import { networkServiceContract } from './index.ts';

test('only a promise of the contract can be left untested', () => {
  assert.throws(
    () =>
      networkServiceContract('nothing', {
        open: () => assert.fail(),
        untested: { 'it is fast': 'nobody has promised that' },
      }),
    /Cannot leave "it is fast" untested: there is no such promise/,
  );
});
