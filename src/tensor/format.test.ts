import { readFileSync } from 'node:fs';
import { afterEach, describe, expect, test } from 'vitest';
import { castValue, type ScalarValue } from '../dtype/codec.ts';
import { type DType, dtypeByName, float32, setDefaultDtype } from '../dtype/dtype.ts';
import { formatTensor, get_printoptions, type SetPrintOptions, set_printoptions, toExponential, toFixed } from './format.ts';

/** A recorded `repr`. `gen` names data too long to store: element i is i, or i / 7 in float32. */
interface Case {
  shape: number[];
  dtype: string;
  out: string;
  gen?: 'arange' | 'arange7';
  data?: (string | [string, string])[];
  gradFn?: string;
  requiresGrad?: boolean;
  device?: string;
  options?: SetPrintOptions;
  default?: string;
}
const cases = JSON.parse(readFileSync(new URL('./format.fixture.json', import.meta.url), 'utf8')) as Case[];

const float = (text: string): number => (text === 'inf' ? Infinity : text === '-inf' ? -Infinity : Number(text));

function reader(c: Case, dtype: DType): (index: number) => ScalarValue {
  if (c.gen === 'arange7') return (i) => Math.fround(i / 7);
  if (c.gen === 'arange') return (i) => castValue(dtype, dtype.kind === 'int' ? BigInt(i) : i);
  return (i) => {
    const item = c.data![i]!;
    if (typeof item !== 'string') return { re: float(item[0]), im: float(item[1]) };
    return dtype.is_floating_point ? float(item) : castValue(dtype, BigInt(item));
  };
}

afterEach(() => {
  set_printoptions({ profile: 'default' });
  setDefaultDtype(float32);
});

describe('formatTensor', () => {
  test(`prints ${cases.length} recorded tensors as PyTorch does`, () => {
    expect(cases.length).toBeGreaterThan(150);
    const wrong: string[] = [];
    for (const c of cases) {
      const dtype = dtypeByName(c.dtype)!;
      setDefaultDtype(dtypeByName(c.default ?? 'float32')!);
      set_printoptions({ profile: 'default' });
      set_printoptions(c.options);
      const got = formatTensor({
        shape: c.shape,
        dtype,
        data: reader(c, dtype),
        requiresGrad: c.requiresGrad ?? false,
        gradFn: c.gradFn,
        device: c.device,
      });
      if (got !== c.out) wrong.push(`${JSON.stringify(c.options ?? {})}\n${got}\n--- expected\n${c.out}`);
    }
    expect(wrong).toEqual([]);
  });
  test('options of one call do not outlive it', () => {
    const input = { shape: [2], dtype: float32, data: (i: number) => i + 0.5 };
    expect(formatTensor({ ...input, options: { precision: 1 } })).toBe('tensor([0.5, 1.5])');
    expect(formatTensor(input)).toBe('tensor([0.5000, 1.5000])');
  });
  test('a device other than the default is named', () => {
    expect(formatTensor({ shape: [], dtype: float32, data: () => 1, device: 'cuda:0' })).toBe("tensor(1., device='cuda:0')");
  });
  test('set_printoptions forgets sci_mode unless it is given again', () => {
    set_printoptions({ sci_mode: true, precision: 2 });
    set_printoptions({ linewidth: 100 });
    expect(get_printoptions()).toEqual({ precision: 2, threshold: 1000, edgeitems: 3, linewidth: 100, sci_mode: null });
  });
});

describe('number formatting', () => {
  test('ties go to even, as in Python', () => {
    expect([0.03125, 0.09375, 2.5, 3.5, -0.5].map((v, i) => toFixed(v, i < 2 ? 4 : 0))).toEqual(['0.0312', '0.0938', '2', '4', '-0']);
    expect([1.5, 2.5, 9.5, 0].map((v) => toExponential(v, 0))).toEqual(['2e+00', '2e+00', '1e+01', '0e+00']);
    expect(toExponential(5e-324, 4)).toBe('4.9407e-324');
    expect(toFixed(1e22, 1)).toBe('10000000000000000000000.0');
  });
});
