import t from 'tap'
import { printable } from '../../lib/cli/printable.ts'

t.test('what a terminal would obey is written out, all else stays', async (t) => {
  t.equal(printable('plain ä€😀\ttext'), 'plain ä€😀\ttext')
  t.equal(printable('\u001b]0;title\u0007'), '\\u{1b}]0;title\\u{7}')
  t.equal(printable('\u009b2J\r\u007f'), '\\u{9b}2J\\u{d}\\u{7f}')
  t.equal(printable('\u202egnp.exe\u2066'), '\\u{202e}gnp.exe\\u{2066}')
})
