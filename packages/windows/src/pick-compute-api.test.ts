import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { MissingProcedureError } from './missing-procedure-error.ts';
import { computeApi } from './pick-compute-api.ts';

const here = () => {};

function missing(dll: string) {
  return () => {
    throw new MissingProcedureError({ dll, procedure: 'HcsX', build: 17763, missing: 'dll' });
  };
}

describe('the DLL that the Host Compute Service is called by', () => {
  test('is computecore.dll where that loads', () => {
    assert.equal(computeApi({ computecore: here, vmcompute: here }).dll, 'computecore.dll');
    assert.equal(
      computeApi({ computecore: here, vmcompute: missing('vmcompute.dll') }).dll,
      'computecore.dll',
    );
  });

  test('is vmcompute.dll where only that loads', () => {
    assert.equal(
      computeApi({ computecore: missing('computecore.dll'), vmcompute: here }).dll,
      'vmcompute.dll',
    );
  });

  test('is named as missing where there is neither', () => {
    const neither = { computecore: missing('computecore.dll'), vmcompute: missing('vmcompute.dll') };
    assert.throws(() => computeApi(neither), { code: 'ERR_MISSING_PROCEDURE', dll: 'computecore.dll' });
  });

  test('is not chosen by a failure of another kind', () => {
    const broken = () => {
      throw new RangeError('broken');
    };
    assert.throws(() => computeApi({ computecore: broken, vmcompute: here }), RangeError);
  });
});
