import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { deviceLocationPath, devicePropertyKeys, listChildDevices, readDeviceProperty } from './devices.ts';
import { DllCallError } from './dll-call-error.ts';
import { cfgmgr32 } from './dlls/cfgmgr32.ts';
import { replaceProcedures } from './replaced-procedures.fixture.ts';

function refuse(procedure: string, status: number): never {
  throw new DllCallError({ dll: 'cfgmgr32.dll', procedure, kind: 'CONFIGRET', status });
}

/** A bus with two devices; the property is given as its type and bytes. */
function deviceManager(property: { type: number; bytes: Buffer }): Disposable {
  const children = Buffer.from('PCI\\VEN_1\\A\0PCI\\VEN_2\\B\0\0');
  return replaceProcedures(cfgmgr32, {
    CM_Get_Device_ID_List_SizeA: async ({ filter, flags }) => {
      assert.equal(flags, 0x20);
      if (filter === 'ROOT\\EMPTY') return { length: 1 };
      if (filter !== 'PCI\\BUS\\0') refuse('CM_Get_Device_ID_List_SizeA', 0x0d);
      return { length: children.length };
    },
    CM_Get_Device_ID_ListA: async ({ filter, buffer }) => {
      if (filter === 'PCI\\BUS\\0') children.copy(buffer as Buffer);
      return undefined;
    },
    CM_Locate_DevNodeW: async ({ deviceId }) => {
      if (deviceId !== 'PCI\\VEN_1\\A') refuse('CM_Locate_DevNodeW', 0x0d);
      return { node: 7 };
    },
    CM_Get_DevNode_PropertyW: async ({ node, propertyKey, buffer, bufferSize }) => {
      assert.equal(node, 7);
      if ((propertyKey as Buffer).readUInt32LE(16) === 256) refuse('CM_Get_DevNode_PropertyW', 0x25);
      assert.equal(
        (propertyKey as Buffer).toString('hex'),
        '4e255ca41cdffd4e802067d146a850e025000000',
        'DEVPKEY_Device_LocationPaths',
      );
      if (bufferSize < property.bytes.length) refuse('CM_Get_DevNode_PropertyW', 0x1a);
      property.bytes.copy(buffer as Buffer);
      return { propertyType: property.type, bufferSize: property.bytes.length };
    },
  });
}

const strings = (...texts: string[]) => Buffer.from(`${texts.join('\0')}\0\0`, 'utf16le');
const read = () => readDeviceProperty('PCI\\VEN_1\\A', devicePropertyKeys.locationPaths);

describe('devices', () => {
  test('are listed by their parents, in the order of these', async () => {
    using _ = deviceManager({ type: 0, bytes: Buffer.alloc(0) });
    assert.deepEqual(await listChildDevices(['ROOT\\EMPTY', 'PCI\\BUS\\0', 'PCI\\BUS\\0']), [
      'PCI\\VEN_1\\A',
      'PCI\\VEN_2\\B',
      'PCI\\VEN_1\\A',
      'PCI\\VEN_2\\B',
    ]);
    await assert.rejects(listChildDevices(['PCI\\GONE']), {
      message:
        'Cannot list the children of device "PCI\\GONE": CM_Get_Device_ID_List_SizeA failed with CONFIGRET 0x0000000D, there is no such device',
    });
  });

  test('have a location path, which is the first of several', async () => {
    using _ = deviceManager({ type: 0x2012, bytes: strings('PCIROOT(0)#PCI(0100)', 'ACPI(_SB_)') });
    assert.deepEqual(await read(), ['PCIROOT(0)#PCI(0100)', 'ACPI(_SB_)']);
    assert.equal(await deviceLocationPath('PCI\\VEN_1\\A'), 'PCIROOT(0)#PCI(0100)');
  });

  test('have properties of several types', async () => {
    const guid = Buffer.from('33221100554477668899aabbccddeeff', 'hex');
    const cases: [number, Buffer, unknown][] = [
      [0x12, Buffer.from('Disk\0', 'utf16le'), 'Disk'],
      [0x12, Buffer.from('\0', 'utf16le'), ''],
      [0x2012, Buffer.from('\0\0', 'utf16le'), []],
      [0x07, Buffer.from('01020000', 'hex'), 513],
      [0x11, Buffer.from('ff', 'hex'), true],
      [0x0d, guid, '00112233-4455-6677-8899-aabbccddeeff'],
      [0x1003, Buffer.from('0102', 'hex'), Buffer.from('0102', 'hex')],
    ];
    for (const [type, bytes, value] of cases) {
      using _ = deviceManager({ type, bytes });
      assert.deepEqual(await read(), value);
    }
  });

  test('have properties that are larger than the first buffer', async () => {
    const long = Array.from({ length: 300 }, (_, index) => `PCIROOT(0)#PCI(${index})`);
    using _ = deviceManager({ type: 0x2012, bytes: strings(...long) });
    assert.deepEqual(await read(), long);
  });

  test('that lack a property, or have one that never fits, are refused', async () => {
    using _ = deviceManager({ type: 0x2012, bytes: Buffer.alloc(5 << 20) });
    await assert.rejects(read(), /CM_Get_DevNode_PropertyW failed with CONFIGRET 0x0000001A$/);
    await assert.rejects(readDeviceProperty('PCI\\VEN_1\\A', devicePropertyKeys.instanceId), {
      message:
        'Cannot read property 256 of device "PCI\\VEN_1\\A": CM_Get_DevNode_PropertyW failed with CONFIGRET 0x00000025, the device has no such property',
    });
    await assert.rejects(deviceLocationPath('PCI\\GONE'), /there is no such device$/);
  });

  test('whose location path is no list of strings are refused', async () => {
    using _ = deviceManager({ type: 0x12, bytes: Buffer.from('x\0', 'utf16le') });
    await assert.rejects(deviceLocationPath('PCI\\VEN_1\\A'), /Windows gave no list of strings$/);
  });
});
