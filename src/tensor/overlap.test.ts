/** Writes whose operands overlap partly with what is written, with PyTorch 2.11's answers. */
import { describe, expect, test } from 'vitest';
import torch, { type Tensor } from '../index.ts';

const text =
  'unsupported operation: some elements of the input tensor and the written-to tensor refer to a single memory location. Please clone() the tensor before performing the operation.';
const row = (): Tensor => torch.arange(6).to(torch.float32) as Tensor;
const square = (): Tensor => torch.arange(9).to(torch.float32).reshape([3, 3]) as Tensor;

describe('operands that overlap partly with what is written', () => {
  const refused: Record<string, (x: Tensor, m: Tensor) => unknown> = {
    'a shifted row': (x) => x.at('1:').add_(x.at(':-1')),
    'a copy of a shifted row': (x) => x.at('1:').copy_(x.at(':-1')),
    'the transpose': (_, m) => m.add_(m.t()),
    'a copy of the transpose': (_, m) => m.copy_(m.t()),
    'a row into all rows': (_, m) => m.add_(m.at(0)),
    'a copy of a row into all rows': (_, m) => m.copy_(m.at(0)),
    'assignment to a slice': (_, m) => m.set('0:2', m.at('1:3')),
    'one of several operands': (x) => x.at('1:').addcmul_(x.at(':-1'), x.at('1:')),
    'a weight': (x) => x.at('1:').lerp_(x.at(':-1'), 0.5),
    out: (x) => torch.add(x.at('1:'), 1, { out: x.at(':-1') }),
    'out of a function of one operand': (x) => torch.exp(x.at('1:'), { out: x.at(':-1') }),
  };
  test.each(Object.keys(refused))('%s', (name) => {
    const [x, m] = [row(), square()];
    expect(() => refused[name](x, m)).toThrow(text);
    expect(x.tolist()).toEqual([0, 1, 2, 3, 4, 5]);
    expect(m.flatten().tolist()).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
  });

  const allowed: Record<string, (x: Tensor, m: Tensor) => unknown> = {
    'columns, which have gaps': (_, m) => m.at(':, 0').add_(m.at(':, 1')),
    'every other element': (x) => x.at('::2').add_(x.at('1::2')),
    'a product into its operand': (_, m) => torch.mm(m, m, { out: m }),
    'the same window': (x) => x.at('1:').add_(x.at('1:')),
    'windows that touch': (x) => x.at(':3').add_(x.at('3:')),
    'a value of its own': (_, m) => m.fill_(m.at('1, 1')),
    'a mask made of it': (_, m) => m.masked_fill_(m.t().gt(2), 0),
  };
  test.each(Object.keys(allowed))('not refused: %s', (name) => {
    expect(() => allowed[name](row(), square())).not.toThrow();
  });
});
