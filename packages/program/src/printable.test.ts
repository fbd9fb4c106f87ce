import assert from 'node:assert/strict';
import { test } from 'node:test';
import { printable } from './printable.ts';

test('words for a terminal keep their lines and letters, and lose what would steer it', () => {
  assert.equal(printable('Grüße\t– 你好\nand so on'), 'Grüße\t– 你好\nand so on');
  assert.equal(printable('\x1b[31mred\x07\r\x7f\u009b1m'), '\\x1b[31mred\\x07\\x0d\\x7f\\x9b1m');
});
