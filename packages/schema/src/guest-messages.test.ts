import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type GuestMessageName,
  type GuestResourceType,
  guestMessageName,
  guestMessages,
  guestResourceReaders,
  isHcsError,
  parseContainerConfig,
  parseGuestProcessParameters,
  parseGuestProperties,
  parseGuestPropertyQuery,
  readDocument,
} from './index.ts';

const names = Object.keys(guestMessages) as GuestMessageName[];

test('every message has the id that its number gives, and a response to match', () => {
  assert.equal(names.length, 13);
  for (const name of names) {
    const { requestId, responseId } = guestMessages[name];
    assert.equal(requestId >>> 20, 0x101, name);
    assert.equal(requestId & 0xff, 1, name);
    assert.equal(responseId, 0x20000000 + (requestId & 0x0fffffff), name);
    assert.equal(guestMessageName(requestId), name);
  }
  assert.equal(guestMessageName(0x10100e01), undefined);
});

const read = (name: GuestMessageName, value: unknown): unknown =>
  readDocument(name, value, guestMessages[name].readRequest as (value: unknown, field: string) => unknown);

const rejects = (work: () => unknown, words: RegExp): void =>
  assert.throws(work, (error: Error) => {
    assert.ok(isHcsError(error, 'HCS_E_INVALID_JSON'));
    assert.match(error.message, words);
    return true;
  });

test('a request that does not fit names the field', () => {
  const base = { ContainerId: 'c' };
  rejects(() => read('Create', base), /field "ContainerConfig" is missing/);
  rejects(() => read('Create', 7), /the document must be an object, not a number/);
  rejects(() => read('Create', { ContainerConfig: '' }), /field "ContainerId" is missing/);
  rejects(
    () => read('WaitForProcess', { ...base, ProcessId: -1, TimeoutInMs: 0 }),
    /"ProcessId" must be a whole number from 0 to 4294967295/,
  );
  rejects(
    () => read('ResizeConsole', { ...base, ProcessId: 1, Height: 70_000, Width: 1 }),
    /"Height" must be a whole number from 0 to 65535/,
  );
  rejects(
    () => read('SignalProcess', { ...base, ProcessId: 1, Options: { Signal: '9' } }),
    /"Options\.Signal" must be a number, not a string/,
  );
  rejects(
    () => read('ExecuteProcess', { ...base, Settings: [] }),
    /"Settings" must be an object, not a list/,
  );
  rejects(
    () =>
      read('ModifySettings', {
        ...base,
        Request: { ResourceType: 'CombinedLayers', Settings: { Layers: [{}, { Path: 1 }] } },
      }),
    /"Request\.Settings\.Layers\[1\]\.Path" must be a string, not a number/,
  );
  rejects(
    () => read('ModifySettings', { ...base, Request: { ResourceType: 'HvSocket' } }),
    /"Request\.ResourceType" must be one of MappedDirectory, /,
  );
  rejects(() => read('ModifySettings', { ...base, Request: { ResourceType: 'toString' } }), /must be one of/);
});

test('values never appear in an error', () => {
  assert.throws(
    () => parseGuestProcessParameters('{"Environment":{"TOKEN":["hunter2"]}}'),
    (error: Error) =>
      /"Environment\.TOKEN" must be a string, not a list/.test(error.message) &&
      !error.message.includes('hunter2'),
  );
});

test('what Go leaves out, writes as null, or adds is read as Go reads it', () => {
  assert.deepEqual(
    read('ModifySettings', { ContainerId: 'c', Request: { ResourceType: 'SCSIDevice', Settings: null } }),
    {
      ContainerId: 'c',
      Request: { ResourceType: 'SCSIDevice', RequestType: 'Add', Settings: {} },
    },
  );
  assert.deepEqual(read('Start', { ContainerId: 'c', ActivityId: null, Later: 1 }), { ContainerId: 'c' });
});

test('every resource can be left empty', () => {
  for (const type of Object.keys(guestResourceReaders) as GuestResourceType[]) {
    assert.deepEqual(guestResourceReaders[type]({}, type), {}, type);
  }
});

test('a specification keeps what only the OCI runtime understands', () => {
  const spec = {
    ociVersion: '1.0.2',
    process: { user: { uid: 0 }, cwd: '/', args: ['sh'], ioPriority: { class: 'IOPRIO_CLASS_BE' } },
    linux: { seccomp: { defaultAction: 'SCMP_ACT_ALLOW' } },
    solaris: {},
  };
  const config = parseContainerConfig(
    JSON.stringify({ SchemaVersion: { Major: 2, Minor: 1 }, OciSpecification: spec }),
  );
  assert.deepEqual(config.OciSpecification, spec);
  rejects(
    () => parseContainerConfig('{"OciSpecification":{"process":{"args":[1]}}}'),
    /"OciSpecification\.process\.args\[0\]" must be a string/,
  );
  rejects(() => parseContainerConfig('{'), /it is not JSON/);
});

test('a map may hold any key, and no key changes the object that holds it', () => {
  const { Environment } = parseGuestProcessParameters('{"Environment":{"__proto__":"x","toString":"y"}}');
  assert.deepEqual(Object.entries(Environment ?? {}), [
    ['__proto__', 'x'],
    ['toString', 'y'],
  ]);
  assert.equal(Object.getPrototypeOf(Environment), Object.prototype);
});

test('a query may be empty and may ask for what does not exist', () => {
  assert.deepEqual(parseGuestPropertyQuery(''), {});
  assert.deepEqual(parseGuestPropertyQuery('{"PropertyTypes":["ProcessList","Weather"]}'), {
    PropertyTypes: ['ProcessList'],
  });
});

test('metrics beyond the ones that are typed stay', () => {
  const properties = {
    LCOWMetrics: {
      cpu: { usage: { total: 5 } },
      memory: { usage: { limit: 2 ** 63 }, swap: {} },
      rdma: {},
    },
  };
  assert.deepEqual(parseGuestProperties(JSON.stringify(properties)), properties);
});
