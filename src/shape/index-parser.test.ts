import { describe, expect, test } from 'vitest';
import { parseIndex, parsePiece } from './index-parser.ts';

const never = (_x: unknown): _x is never => false;

describe('index texts', () => {
  test('integers, slices and words', () => {
    expect(parsePiece('-2')).toEqual({ kind: 'int', value: -2 });
    expect(parsePiece(' 1:3 ')).toEqual({ kind: 'slice', start: 1, stop: 3, step: 1 });
    expect(parsePiece('::2')).toEqual({ kind: 'slice', start: null, stop: null, step: 2 });
    expect(parsePiece('-3:')).toEqual({ kind: 'slice', start: -3, stop: null, step: 1 });
    expect(parsePiece('...')).toEqual({ kind: 'ellipsis' });
    expect(parsePiece('True')).toEqual({ kind: 'bool', value: true });
  });
  test('commas separate parts', () => {
    expect(parseIndex([':, None', 3], never).map((p) => p.kind)).toEqual(['slice', 'newaxis', 'int']);
  });
  test('steps that are not positive are errors', () => {
    expect(() => parsePiece('::-1')).toThrow('step must be greater than zero');
    expect(() => parsePiece('::0')).toThrow('slice step cannot be zero');
  });
  test('what is no index is refused with its type', () => {
    expect(() => parseIndex([0.5], never)).toThrow('are valid indices (got float)');
    expect(() => parsePiece('a:b')).toThrow("got 'a:b'");
    expect(() => parseIndex([undefined as never], never)).toThrow('undefined is not an index');
  });
});
