import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isHcsError } from '@hcsshim/hcs';
import type { OciSpec } from '@hcsshim/schema';
import { guestSpec } from './linux-spec.ts';

const spec: OciSpec = {
  ociVersion: '1.0.2',
  process: { user: { uid: 0, gid: 0 }, args: ['true'], cwd: '/' },
  root: { path: 'rootfs', readonly: true },
  hooks: { prestart: [{ path: '/host/hook' }] },
  mounts: [{ destination: '/proc', type: 'proc', source: 'proc' }],
  windows: { layerFolders: [] },
  linux: {
    cgroupsPath: '/default/x',
    namespaces: [{ type: 'pid' }, { type: 'network', path: '/proc/1/ns/net' }],
    devices: [{ path: '/dev/fuse' }],
    resources: { devices: [{ allow: false, access: 'rwm' }], memory: { limit: 1000 }, pids: { limit: 5 } },
    seccomp: { defaultAction: 'SCMP_ACT_ALLOW' },
  },
};

test("what names the host's things is dropped, the rest is kept", () => {
  const result = guestSpec(spec, 'c1', '/run/gcs/c/c1/rootfs');
  assert.deepEqual(result, {
    ociVersion: '1.0.2',
    process: spec.process,
    root: { path: '/run/gcs/c/c1/rootfs', readonly: true },
    mounts: spec.mounts,
    linux: {
      namespaces: [{ type: 'pid' }, { type: 'network' }],
      resources: { memory: { limit: 1000 } },
      seccomp: { defaultAction: 'SCMP_ACT_ALLOW' },
    },
  });
});

test('the network namespace of the VM is kept, as upstream’s agent tells containers apart by it', () => {
  const network = { networkNamespace: '5c5a5d0e-7b1a-4a36-9b3f-3c0f2d8f6a11', endpointList: ['e'] };
  const result = guestSpec({ ...spec, windows: { layerFolders: [], network } }, 'c1', '/rootfs');
  assert.deepEqual(result.windows, { network: { networkNamespace: network.networkNamespace } });
});

test('the spec that came in is not changed', () => {
  const before = structuredClone(spec);
  guestSpec(spec, 'c1', '/rootfs');
  assert.deepEqual(spec, before);
});

test('a bind mount of the host is refused in words', () => {
  const shared: OciSpec = {
    ...spec,
    mounts: [{ destination: '/data', type: 'bind', source: '/srv', options: ['rbind'] }],
  };
  assert.throws(
    () => guestSpec(shared, 'c1', '/rootfs'),
    (error) =>
      isHcsError(error, 'ERROR_NOT_SUPPORTED') && /"\/srv" at "\/data" in container "c1"/.test(error.message),
  );
});
