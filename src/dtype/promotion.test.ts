import { readFileSync } from 'node:fs';
import { afterEach, describe, expect, test } from 'vitest';
import { dtypeByName, dtypes, finfo, float8_e5m2, float32, float64, iinfo, int32, int64, uint8 } from './dtype.ts';
import {
  canCast,
  elementwiseDtypes,
  getDefaultDtype,
  type PromotionKind,
  type PromotionOperand,
  promoteTypes,
  resultType,
  setDefaultDtype,
} from './promotion.ts';

type Recorded = string | [name: string, ndim: number];
interface Fixture {
  dtypes: string[];
  promote: number[][];
  canCast: number[][];
  resultType: [string, Recorded, Recorded, string][];
  kinds: Record<PromotionKind, [string, string, string][]>;
}
const fixture = JSON.parse(readFileSync(new URL('./promotion.fixture.json', import.meta.url), 'utf8')) as Fixture;
const operand = (r: Recorded): PromotionOperand =>
  typeof r === 'string' ? (r as PromotionOperand) : { dtype: dtypeByName(r[0])!, ndim: r[1] };

afterEach(() => setDefaultDtype(float32));

describe('promotion', () => {
  test('all 196 pairs promote as in PyTorch, and fp8 refuses as there', () => {
    expect(dtypes.map((d) => d.name)).toEqual(fixture.dtypes);
    for (const a of dtypes) {
      for (const b of dtypes) {
        const expected = fixture.promote[a.id]![b.id]!;
        if (expected < 0) expect(() => promoteTypes(a, b)).toThrow('Promotion for Float8 Types is not supported, attempted to promote');
        else expect(promoteTypes(a, b).name, `${a} ${b}`).toBe(dtypes[expected]!.name);
        expect(canCast(a, b), `${a} ${b}`).toBe(fixture.canCast[a.id]![b.id] === 1);
      }
    }
    expect(() => promoteTypes(float32, float8_e5m2)).toThrow('attempted to promote Float and Float8_e5m2');
  });
  test(`result_type of ${fixture.resultType.length} recorded mixes of tensors, 0-d tensors and scalars`, () => {
    expect(fixture.resultType.length).toBeGreaterThan(300);
    for (const [defaultName, a, b, expected] of fixture.resultType) {
      setDefaultDtype(dtypeByName(defaultName)!);
      expect(resultType([operand(a), operand(b)]).name, JSON.stringify([defaultName, a, b])).toBe(expected);
    }
  });
  test('each promotion kind gives the recorded result dtype and compute dtype', () => {
    for (const [kind, rows] of Object.entries(fixture.kinds)) {
      for (const [name, compute, result] of rows) {
        const got = elementwiseDtypes(kind as PromotionKind, [{ dtype: dtypeByName(name)!, ndim: 1 }]);
        expect([got.compute.name, got.result.name], `${kind} ${name}`).toEqual([compute, result]);
      }
    }
  });
});

describe('dtype facts', () => {
  test('names, aliases and twins', () => {
    expect(String(float32)).toBe('torch.float32');
    expect(dtypeByName('torch.long')).toBe(int64);
    expect(dtypeByName('nothing')).toBeUndefined();
    expect(float64.complex.real).toBe(float64);
    expect(int32.real).toBe(int32);
    dtypes.forEach((d, i) => {
      expect(d.id).toBe(i);
    });
  });
  test('finfo and iinfo', () => {
    expect(finfo(float32)).toMatchObject({ bits: 32, eps: 2 ** -23, max: 3.4028234663852886e38, resolution: 1e-6, dtype: 'float32' });
    expect(iinfo(uint8)).toMatchObject({ bits: 8, min: 0, max: 255 });
    expect(iinfo(int64).max).toBe(9223372036854775807n);
    expect(() => finfo(int32)).toThrow('torch.finfo() requires a floating point input type');
  });
  test('only floating point dtypes can be the default', () => {
    expect(() => setDefaultDtype(int32)).toThrow('only floating-point types are supported as the default type');
    expect(getDefaultDtype()).toBe(float32);
  });
});
