import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { hyperVAddress } from './hyper-v-address.ts';

const vm = '01234567-89ab-cdef-0123-456789abcdef';

describe('an address of AF_HYPERV', () => {
  test('has family, VM and the service of the port, to the byte', () => {
    assert.equal(
      hyperVAddress('Cannot connect', vm, 0x40000000).toString('hex'),
      '22000000' + '67452301ab89efcd0123456789abcdef' + '00000040cbfae611bd5864006a7986d3',
    );
  });

  test('is refused for what is no port and for what is no GUID', () => {
    for (const port of [-1, 0.5, 0xffffffff, Number.NaN])
      assert.throws(() => hyperVAddress('Cannot connect', vm, port), { code: 'E_INVALIDARG' });
    assert.throws(() => hyperVAddress('Cannot connect', 'vm', 1), {
      code: 'E_INVALIDARG',
      message: /^Cannot connect: the id of a VM is a GUID such as /,
    });
  });
});
