/** Pooling as sentence-transformers does it, and what its folders say of it. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import torch from '../index.ts';
import { pool, readPooling } from './index.ts';

const hidden = torch.tensor([
  [
    [1, 2],
    [3, -4],
    [50, 60],
  ],
  [
    [5, 6],
    [7, 8],
    [9, -10],
  ],
]);
const attention_mask = torch.tensor(
  [
    [1, 1, 0],
    [1, 1, 1],
  ],
  { dtype: torch.int64 },
);
const scratch = mkdtempSync(join(tmpdir(), 'magpie-pooling-'));
afterAll(() => rmSync(scratch, { recursive: true }));

describe('token vectors become one', () => {
  test.each([
    [
      'mean',
      [
        [2, -1],
        [7, 4 / 3],
      ],
      [
        [18, 58 / 3],
        [7, 4 / 3],
      ],
    ],
    [
      'cls',
      [
        [1, 2],
        [5, 6],
      ],
      [
        [1, 2],
        [5, 6],
      ],
    ],
    [
      'max',
      [
        [3, 2],
        [9, 8],
      ],
      [
        [50, 60],
        [9, 8],
      ],
    ],
    [
      'lasttoken',
      [
        [3, -4],
        [9, -10],
      ],
      [
        [50, 60],
        [9, -10],
      ],
    ],
  ] as const)('%s', (pooling, masked, whole) => {
    const close = (got: number[], expected: readonly (readonly number[])[]): void =>
      expect(got).toEqual(expected.flat().map((x) => expect.closeTo(x, 5)));
    close((pool(hidden, attention_mask, { pooling, normalize: false }).tolist() as number[][]).flat(), masked);
    close((pool(hidden, null, { pooling, normalize: false }).tolist() as number[][]).flat(), whole);
    expect(pool(hidden, attention_mask, { pooling }).norm(2, 1).tolist()).toEqual([expect.closeTo(1, 6), expect.closeTo(1, 6)]);
  });

  test('the last token is the last real one where padding is on the left', () => {
    const left = torch.tensor(
      [
        [0, 1, 1],
        [1, 1, 1],
      ],
      { dtype: torch.int64 },
    );
    expect(pool(hidden, left, { pooling: 'lasttoken', normalize: false }).tolist()).toEqual([
      [50, 60],
      [9, -10],
    ]);
  });
});

describe('a folder of sentence-transformers', () => {
  let folders = 0;
  const folderOf = (modules: unknown, config: unknown): string => {
    const folder = join(scratch, `${folders++}`);
    mkdirSync(join(folder, '1_Pooling'), { recursive: true });
    writeFileSync(join(folder, 'modules.json'), JSON.stringify(modules));
    writeFileSync(join(folder, '1_Pooling', 'config.json'), JSON.stringify(config));
    return folder;
  };
  const module = (type: string, path: string): object => ({ type: `sentence_transformers.models.${type}`, path });
  const plain = [module('Transformer', ''), module('Pooling', '1_Pooling')];

  test('says how it pools, and whether it normalizes', () => {
    const mean = { word_embedding_dimension: 4, pooling_mode_cls_token: false, pooling_mode_mean_tokens: true };
    expect(readPooling(folderOf([...plain, module('Normalize', '2_Normalize')], mean))).toEqual({ pooling: 'mean', normalize: true });
    expect(readPooling(folderOf(plain, { pooling_mode_cls_token: true }))).toEqual({ pooling: 'cls', normalize: false });
    expect(readPooling(folderOf(plain, { pooling_mode: 'lasttoken' }))).toEqual({ pooling: 'lasttoken', normalize: false });
    expect(readPooling(scratch)).toBe(null);
  });

  test.each<[string, unknown, object, string]>([
    [
      'two ways at once',
      plain,
      { pooling_mode_cls_token: true, pooling_mode_mean_tokens: true },
      'got pooling_mode_cls_token, pooling_mode_mean_tokens',
    ],
    ['a way that is not known', plain, { pooling_mode_weightedmean_tokens: true }, 'got pooling_mode_weightedmean_tokens'],
    ['no list of modules', {}, {}, 'modules.json: expected a list of objects'],
    ['a module that is not known', [module('Dense', '3_Dense')], {}, 'modules.json: modules of type Dense are not known here'],
    ['a path that leads out', [module('Pooling', '../x')], {}, '"path" should be a folder beside it'],
  ])('%s is refused by name', (_, modules, config, message) => {
    expect(() => readPooling(folderOf(modules, config))).toThrow(message);
  });
});
