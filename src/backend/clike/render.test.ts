import { describe, expect, test } from 'vitest';
import { float32, int64 } from '../../dtype/dtype.ts';
import { decomposeKernel } from '../../kernel/decompose.ts';
import type { Kernel } from '../../kernel/ir.ts';
import { lowerKernel } from '../../kernel/lower.ts';
import type { KernelStep } from '../../schedule/plan.ts';
import { cuda } from '../cuda/dialect.ts';
import { PlanBuilder } from '../test-support.ts';
import { findSharedItem } from './folds.ts';
import { renderKernel } from './render.ts';

const lower = (kernel: Kernel) => lowerKernel(decomposeKernel(kernel), { lanes: 16 });
const render = (kernel: Kernel): string => renderKernel(lower(kernel), cuda, 'k');
const lines = (text: string): string[] => text.split('\n').map((l) => l.trim());

function pointKernel(n: number, inPlace: boolean): Kernel {
  const p = new PlanBuilder();
  const x = p.buffer('external', float32, n);
  const out = inPlace ? x : p.buffer('output', float32, n);
  p.kernel({
    name: 'twice',
    shape: [n],
    sources: [{ buffer: x, strides: [1] }],
    target: { buffer: out, strides: [1] },
    value: (b, [v]) => b.scalar('add', b.scalar('mul', v, b.const('f32', 2)), b.const('f32', -0)),
  });
  return (p.plan().steps[0] as KernelStep).kernel;
}

/** Sums over the rows (`columns` last) or over the columns. */
function sumKernel(rows: number, columns: number, overRows: boolean): Kernel {
  const p = new PlanBuilder();
  const x = p.buffer('external', float32, rows * columns);
  const out = p.buffer('output', float32, overRows ? rows : columns);
  p.kernel({
    name: 'sum',
    shape: [overRows ? rows : columns],
    reduce: [overRows ? columns : rows],
    sources: [{ buffer: x, strides: overRows ? [columns, 1] : [1, columns] }],
    target: { buffer: out, strides: [1] },
    value: (_, [v], { reduce }) => reduce('sum', v),
  });
  return (p.plan().steps[0] as KernelStep).kernel;
}

function gatherKernel(n: number): Kernel {
  const p = new PlanBuilder();
  const [source, index] = [p.buffer('external', float32, 100), p.buffer('external', int64, n)];
  p.gather(source, index, p.buffer('output', float32, n), n);
  return (p.plan().steps[0] as KernelStep).kernel;
}

describe('vector IR as CUDA C', () => {
  test('a point kernel has an element a lane, loads that may move, and no order among stores', () => {
    const text = render(pointKernel(5000, false));
    expect(text).toContain('__ldg((const float*)(');
    expect(text).toContain(' * 4 + L * 4)');
    expect(text).toContain('L < ');
    const body = lines(text).slice(0, -4);
    expect(body.filter((l) => l === '__syncwarp(team);')).toEqual([]);
  });

  test('constants keep their sign and their bits', () => {
    const text = render(pointKernel(64, false));
    expect(text).toMatch(/float s\d+ = -0\.0f;/);
    expect(text).toMatch(/float s\d+ = 2\.0f;/);
  });

  test('what is written in place is loaded plainly', () => {
    const text = render(pointKernel(64 * 1000, true));
    expect(text).not.toContain('__ldg((const float*)');
    expect(text).toContain('from_float32(*(float*)');
  });

  test('a row sum is a loop of loads and a tree of shuffles under the mask of the team', () => {
    const text = render(sumKernel(1, 1000, true));
    for (const distance of [8, 4, 2, 1]) expect(text).toMatch(new RegExp(`__shfl_xor_sync\\(team, s\\d+, ${distance}, 16\\)`));
    expect(text).toContain('#pragma unroll 8');
    expect(text).toContain('if (L == 0) *(float*)');
  });

  test('a column sum has sixteen accumulators a lane and no shuffle', () => {
    const text = render(sumKernel(4000, 48, false));
    expect(text).not.toContain('__shfl');
    expect(text.match(/float s\d+ = 0\.0f;/g)!.length).toBeGreaterThanOrEqual(32);
  });

  test('a gather reads at per-lane indices, of which int64 keeps the low half', () => {
    const text = render(gatherKernel(300));
    expect(text).toMatch(/\(int\)from_int64\(__ldg\(\(const i64\*\)/);
    expect(text).toMatch(/\(long long\)w\d+ \* 4/);
  });

  test('integer arithmetic wraps and shifts are bounded', () => {
    const p = new PlanBuilder();
    const x = p.buffer('external', int64, 32);
    p.kernel({
      name: 'integers',
      shape: [32],
      sources: [{ buffer: x, strides: [1] }],
      target: { buffer: p.buffer('output', int64, 32), strides: [1] },
      value: (b, [v]) => b.scalar('shl', b.scalar('mul', v, v), b.scalar('idiv', v, b.const('i64', -(2n ** 63n)))),
    });
    const text = render((p.plan().steps[0] as KernelStep).kernel);
    expect(text).toContain('(i64)((u64)');
    expect(text).toContain('shl_i64(');
    expect(text).toContain('(-9223372036854775807LL - 1)');
  });
});

describe('items that teams share', () => {
  test('blocks of 1024 of a long row become cells that any team may compute', () => {
    const item = findSharedItem(lower(sumKernel(1, 10_000, true)))!;
    const [fold] = [...item.folds.values()];
    expect(fold.iterations).toBe(10);
    expect(fold.free).toBe(true);
    expect(fold.cells.length).toBe(1);
    expect(fold.totals.length).toBe(1);
    expect(item.flat).toBe(false);
  });

  test('a reduction of one block is cut into its steps of sixteen, one of a single step is not cut', () => {
    const [fold] = [...findSharedItem(lower(sumKernel(1, 1000, true)))!.folds.values()];
    expect(fold.iterations).toBe(62);
    expect(findSharedItem(lower(sumKernel(1, 16, true)))).toBeNull();
  });

  test('a column sum is shared sixteen columns at a time, with sixteen cells a lane', () => {
    const item = findSharedItem(lower(sumKernel(5000, 48, false)))!;
    const [fold] = [...item.folds.values()];
    expect(item.flat).toBe(true);
    expect(fold.iterations).toBe(5);
    expect(fold.cells.length).toBe(16);
  });

  test('cells are merged in their order, behind a barrier; what was computed ahead is not computed again', () => {
    const vector = lower(sumKernel(1, 100_000, true));
    const item = findSharedItem(vector)!;
    const block = renderKernel(vector, cuda, 'k', { mode: 'block', item, ahead: false });
    expect(block).toContain('for (i64 it = G; it < 98; it += GS)');
    const rest = renderKernel(vector, cuda, 'k', { mode: 'block', item, ahead: true });
    expect(rest).not.toContain('it += GS');
    expect(rest).toContain('first < 98');
    const ahead = renderKernel(vector, cuda, 'k', { mode: 'ahead', item, ahead: true });
    expect(ahead).toContain('for (i64 it = G; it < 98; it += GS)');
    // It writes cells and nothing else.
    expect(lines(ahead).filter((l) => l.startsWith('*(')).length).toBe(1);
  });
});
