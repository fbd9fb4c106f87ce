import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { destroyLayer } from './destroy-layer.ts';
import { DllCallError } from './dll-call-error.ts';
import { kernel32 } from './dlls/kernel32.ts';
import { vmcompute } from './dlls/vmcompute.ts';
import { koffi } from './koffi.ts';
import { replaceProcedures } from './replaced-procedures.fixture.ts';

describe('a layer is destroyed', () => {
  test('by its path, with the filter driver and no home directory', async () => {
    const destroyed: string[] = [];
    using _ = replaceProcedures(vmcompute, {
      DestroyLayer: async ({ info, id }) => {
        const bytes = info as Buffer;
        assert.equal(bytes.readInt32LE(0), 1);
        assert.equal(koffi().decode.string16(bytes.readBigUInt64LE(8)), '');
        destroyed.push(id);
        return undefined;
      },
    });
    await destroyLayer('C:\\layers\\1');
    assert.deepEqual(destroyed, ['C:\\layers\\1']);
  });

  test('or it is said why not', async () => {
    using _kernel = replaceProcedures(kernel32, { FormatMessageW: () => 0 });
    using _ = replaceProcedures(vmcompute, {
      DestroyLayer: async () => {
        throw new DllCallError({
          dll: 'vmcompute.dll',
          procedure: 'DestroyLayer',
          kind: 'HRESULT',
          status: 0x80070005,
        });
      },
    });
    await assert.rejects(destroyLayer('C:\\layers\\1'), {
      name: 'WindowsError',
      message: 'Cannot destroy layer "C:\\layers\\1": DestroyLayer failed with HRESULT 0x80070005',
    });
  });
});
