import { test } from 'vitest';
import * as D from '../shape/dim.ts';
import { axisIndex, constantIndex, delinearize, linear, type Index } from '../schedule/index-map.ts';
const sym = [2, 2];
const ev = (i: Index, at: Map<number, number>): number => D.evaluate(i.offset, sym) + i.terms.reduce((n, t) => {
  const f = D.evaluate(t.factor, sym); const a = t.atom;
  const v = a.kind === 'axis' ? at.get(a.axis.id)! : a.kind === 'data' ? NaN : a.kind === 'quotient' ? Math.trunc(ev(a.of, at) / D.evaluate(a.by, sym)) : ev(a.of, at) % D.evaluate(a.by, sym);
  return n + f * v; }, 0);
test('e', () => {
  const s0 = D.symbol(0), s1 = D.symbol(1);
  const shapes: D.Dim[][] = [[2, D.add(s0, 1), s1], [D.mul(2, D.add(s0, 1)), s1], [2, D.add(s0, 1), D.add(s1, 2)], [D.mul(2, D.add(s0, 1)), D.add(s1, 2)], [2, D.mul(D.add(s0, 1), s1)], [2, D.mul(D.add(s0, 1), D.add(s1, 2))], [2, s0, D.add(s1, 2)], [2, 1, s1], [2, 1, D.add(s1, 2)],[2,D.add(s0,1),2],[D.mul(2, D.add(s0, 1)),2]];
  const rm = (s: D.Dim[]) => s.map((_, i) => D.productOf(s.slice(i + 1)));
  for (let round = 0; round < 8; round++) { sym[0] = 2 + (round >> 1); sym[1] = 2 + (round & 3);
  for (const from of shapes) for (const src of shapes) {
    const vals = from.map((d) => D.evaluate(d, sym)); const sv = src.map((d) => D.evaluate(d, sym));
    const total = sv.reduce((a, b) => a * b, 1); if (vals.reduce((a, b) => a * b, 1) > total) continue;
    const axes = from.map((extent, id) => ({ id, extent, axis: null as any }));
    const flat = linear(axes.map((a) => axisIndex(a as any)), rm(from));
    const out = delinearize(flat, src);
    const walk = (d: number, at: Map<number, number>): void => {
      if (d < from.length) { for (let i = 0; i < vals[d]; i++) { at.set(d, i); walk(d + 1, at); } return; }
      let f = 0; for (let k = 0; k < from.length; k++) f = f * vals[k] + at.get(k)!;
      const want: number[] = []; let r = f; for (let k = src.length - 1; k >= 0; k--) { want[k] = r % sv[k]; r = Math.floor(r / sv[k]); }
      const got = out.map((o) => ev(o, at));
      if (got.join() !== want.join()) { console.log('BAD', sym.join(), from.map(D.keyOf).join(' , '), '|', src.map(D.keyOf).join(' , '), 'at', [...at.values()].join(), got.join(), 'want', want.join(), out.map((o) => o.key).join(' ; ')); throw 0; }
    };
    try { walk(0, new Map()); } catch (e) { if (e !== 0) throw e; }
  } }
});
