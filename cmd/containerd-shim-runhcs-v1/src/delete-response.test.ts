import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create, toBinary } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import fc from 'fast-check';
import { encodeDeleteResponse } from './delete-response.ts';
import { DeleteResponseSchema } from './generated/containerd/task/v2/task_pb.ts';

test('the hand-encoded response has the bytes that protobuf-es gives', () => {
  const uint32 = fc.integer({ min: 0, max: 0xffff_ffff });
  fc.assert(
    fc.property(
      uint32,
      uint32,
      fc.date({ min: new Date(0), noInvalidDate: true }),
      (pid, exitStatus, exitedAt) => {
        const expected = toBinary(
          DeleteResponseSchema,
          create(DeleteResponseSchema, { pid, exitStatus, exitedAt: timestampFromDate(exitedAt) }),
        );
        assert.deepEqual(encodeDeleteResponse({ pid, exitStatus, exitedAt }), expected);
      },
    ),
  );
});

test('a killed task of pid 1 at the first second of 1970 is these bytes', () => {
  const bytes = encodeDeleteResponse({ pid: 1, exitStatus: 137, exitedAt: new Date(1000) });
  assert.equal(Buffer.from(bytes).toString('hex'), '0801' + '108901' + '1a02' + '0801');
});
