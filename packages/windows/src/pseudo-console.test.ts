import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PseudoConsole } from './pseudo-console.ts';

test('a terminal is at least one character wide and high, and at most 32767', () => {
  const refuses = (columns: number, rows: number, message: string) =>
    assert.throws(() => PseudoConsole.create({ columns, rows }), { name: 'RangeError', message });
  refuses(0, 25, 'Cannot give a terminal 0 columns: it must be an integer from 1 to 32767');
  refuses(80, 32_768, 'Cannot give a terminal 32768 rows: it must be an integer from 1 to 32767');
  refuses(80, 2.5, 'Cannot give a terminal 2.5 rows: it must be an integer from 1 to 32767');
});
