import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { isHcsError } from '@hcsshim/schema';
import fc from 'fast-check';
import { relativePath } from './relative-path.ts';

describe('a path below a directory', () => {
  test('has one spelling', () => {
    for (const path of ['Files\\a', 'Files/a', 'Files\\\\a\\', './Files/./a'])
      assert.equal(relativePath(path), 'Files\\a', path);
    // Names that only Win32 reads otherwise: the kernel takes them as they are.
    for (const name of ['con', 'a.', 'a ', '...', '~', '$Recycle.Bin'])
      assert.equal(relativePath(name), name);
  });

  test('leads down and nowhere else, in words', () => {
    const wrong: [string, RegExp][] = [
      ['..', /it leads up/],
      ['a\\..\\b', /it leads up/],
      ['a/../../b', /it leads up/],
      ['\\a', /it is absolute/],
      ['/a', /it is absolute/],
      ['\\\\server\\share', /it is absolute/],
      ['\\\\?\\C:\\a', /it has a ":"/],
      ['\\??\\a', /it is absolute/],
      ['C:\\a', /it has a ":", of a drive or of an alternate stream/],
      ['C:a', /it has a ":"/],
      ['a:stream', /it has a ":"/],
      ['a::$DATA', /it has a ":"/],
      ['a\0b', /a NUL character/],
      ['', /it names the directory itself/],
      ['.', /it names the directory itself/],
      ['a\\'.repeat(20_000), /it has 39999 characters, more than 32767/],
    ];
    for (const [path, problem] of wrong)
      assert.throws(
        () => relativePath(path),
        (error) => {
          assert.ok(isHcsError(error, 'E_INVALIDARG'));
          assert.match(error.message, problem);
          assert.ok(error.message.length < 400);
          return true;
        },
      );
    assert.throws(() => relativePath(7 as unknown as string), /Cannot use a value as a path/);
  });

  test('never leads out, whatever it is made of', () => {
    const parts = fc.constantFrom('..', '.', '', 'a', 'C:', '?', '\\', '/', ':', ' ', '...');
    fc.assert(
      fc.property(fc.array(parts, { maxLength: 8 }), fc.constantFrom('\\', '/'), (names, separator) => {
        let plain: string;
        try {
          plain = relativePath(names.join(separator));
        } catch (error) {
          assert.ok(isHcsError(error, 'E_INVALIDARG'));
          return;
        }
        assert.doesNotMatch(plain, /^\\|\\$|\\\\|[:/]|(^|\\)\.\.?(\\|$)/);
        assert.equal(relativePath(plain), plain);
      }),
    );
  });
});
