import assert from 'node:assert/strict';
import {
  chmodSync,
  chownSync,
  lchownSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { defaultStateDirectory } from './default-state-directory.ts';
import { checkStateDirectory, makePrivateState } from './private-state.ts';
import { StateDirectory } from './state-directory.ts';
import { sweep } from './sweep.ts';

const isRoot = process.geteuid?.() === 0;
const denied = (message: RegExp): object => ({ code: 'E_ACCESSDENIED', message });

let parent: string;
let root: string;

beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'private-'));
  root = join(parent, 'state');
});
afterEach(() => rmSync(parent, { recursive: true }));

const modeOf = (path: string): string => (statSync(path).mode & 0o7777).toString(8);

describe('the default state directory', () => {
  const cases: [environment: NodeJS.ProcessEnv, uid: number, expected: string][] = [
    [{}, 0, '/run/hcsshim'],
    [{ XDG_RUNTIME_DIR: '/run/user/0' }, 0, '/run/hcsshim'],
    [{ XDG_RUNTIME_DIR: '/run/user/7' }, 7, '/run/user/7/hcsshim'],
    [{}, 7, '/run/user/7/hcsshim'],
    [{ HCSSHIM_STATE: '/state', XDG_RUNTIME_DIR: '/run/user/7' }, 7, '/state'],
    [{ HCSSHIM_STATE: '' }, 0, '/run/hcsshim'],
  ];
  for (const [environment, uid, expected] of cases) {
    it(`of user ${uid} with ${JSON.stringify(environment)} is ${expected}`, () =>
      assert.equal(defaultStateDirectory(environment, uid), expected));
  }
});

describe('a state directory', () => {
  it('is made for its user alone', async () => {
    await makePrivateState(root, ['systems']);
    assert.equal(modeOf(root), '700');
    assert.equal(modeOf(join(root, 'systems')), '700');
    await makePrivateState(root, ['systems']);
  });

  it('that others can read is kept, but what is below it is closed to them', async () => {
    mkdirSync(join(root, 'systems'), { recursive: true });
    chmodSync(root, 0o755);
    chmodSync(join(root, 'systems'), 0o777);
    await makePrivateState(root, ['systems']);
    assert.equal(modeOf(root), '755');
    assert.equal(modeOf(join(root, 'systems')), '700');
  });

  it('that others can write to is refused, also to be read', async () => {
    mkdirSync(root);
    chmodSync(root, 0o1777);
    const expected = denied(/others can write .* set HCSSHIM_STATE/);
    await assert.rejects(makePrivateState(root, ['systems']), expected);
    await assert.rejects(new StateDirectory(root).read('x'), expected);
    await assert.rejects(
      new StateDirectory(root).list(() => {}),
      expected,
    );
    await assert.rejects(sweep({ stateDirectory: root }), { message: /others can write/ });
  });

  it('that is a link or a file is refused', async () => {
    symlinkSync(parent, root);
    await assert.rejects(makePrivateState(root, []), denied(/is not a directory/));
    rmSync(root);
    writeFileSync(root, '');
    await assert.rejects(makePrivateState(root, []), denied(/is not a directory/));
  });

  it('with a link in the place of a directory of its own is refused', async () => {
    mkdirSync(root);
    symlinkSync(parent, join(root, 'systems'));
    await assert.rejects(makePrivateState(root, ['systems']), denied(/systems" is not a directory/));
  });

  it('of another user is refused', { skip: !isRoot }, async () => {
    mkdirSync(join(root, 'systems'), { recursive: true, mode: 0o700 });
    chownSync(join(root, 'systems'), 12345, 12345);
    await assert.rejects(makePrivateState(root, ['systems']), denied(/belongs to user 12345/));
    lchownSync(root, 12345, 12345);
    await assert.rejects(checkStateDirectory(root), denied(/belongs to user 12345/));
  });
});
