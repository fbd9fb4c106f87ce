import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { hostDns } from './host-dns.ts';

test("the host's settings come without servers that a namespace does not reach", (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'hcsshim-dns-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const path = join(directory, 'resolv.conf');
  writeFileSync(
    path,
    '# written by hand\nnameserver 127.0.0.53\nnameserver 192.0.2.53\nnameserver fd00::53\ndomain example.com\nsearch a.example b.example\n',
  );
  const Search = ['a.example', 'b.example'];
  assert.deepEqual(hostDns(path), { Domain: 'example.com', Search, ServerList: ['192.0.2.53'] });
  assert.deepEqual(hostDns(join(directory, 'none')), {});
});
