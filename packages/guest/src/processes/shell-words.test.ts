import assert from 'node:assert/strict';
import { test } from 'node:test';
import { splitShellWords } from './shell-words.ts';

test('words, quotes and backslashes', () => {
  const cases: [string, string[]][] = [
    ['ls -l  /tmp\t/x', ['ls', '-l', '/tmp', '/x']],
    [`sh -c 'echo "a  b" $X'`, ['sh', '-c', 'echo "a  b" $X']],
    ['a"b c"d', ['ab cd']],
    ['"\\"\\\\\\$\\`\\n"', ['"\\$`\\n']],
    ['a\\ b', ['a b']],
    [`'' ""`, ['', '']],
  ];
  for (const [line, words] of cases) assert.deepEqual(splitShellWords(line), words, line);
});

test('what is no command line is refused', () => {
  assert.throws(() => splitShellWords('echo "open'), /a quote is not closed/);
  assert.throws(() => splitShellWords("it's"), /a quote is not closed/);
  assert.throws(() => splitShellWords('end\\'), /a backslash stands last/);
  assert.throws(() => splitShellWords('  '), /it is empty/);
});
