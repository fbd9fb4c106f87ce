import assert from 'node:assert/strict';
import { test } from 'node:test';
import { modificationText } from './modification-request.ts';

test('a request of schema 1 is known by its resource type', () => {
  const request = { ResourceType: 'Network', RequestType: 'Add', Settings: 'endpoint' } as const;
  assert.deepEqual(JSON.parse(modificationText(request)), request);
  const odd = { ResourceType: 'Lamp', RequestType: 'Add' } as unknown as typeof request;
  assert.throws(() => modificationText(odd), {
    code: 'HCS_E_INVALID_JSON',
    message: /"ResourceType" must be one of Network/,
  });
});

test('a path that only a newer Windows may know passes, settings with a mistake do not', () => {
  const request = { ResourcePath: 'VirtualMachine/Devices/Lamp', Settings: { Colour: 'blue' } };
  assert.deepEqual(JSON.parse(modificationText(request)), request);
  const disk = { ResourcePath: 'VirtualMachine/Devices/Scsi/0/Attachments/0', Settings: { Colour: 'blue' } };
  assert.throws(() => modificationText(disk), { message: /field "Settings.Colour" is unknown/ });
});
