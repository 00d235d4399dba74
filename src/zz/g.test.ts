import { test } from 'vitest';
import * as D from '../shape/dim.ts';
import { addIndex, axisIndex, delinearize, linear, scaleIndex, type Index } from '../schedule/index-map.ts';
let sym = [3, 4];
const ev = (i: Index, at: Map<number, number>): number => D.evaluate(i.offset, sym) + i.terms.reduce((n, t) => {
  const f = D.evaluate(t.factor, sym); const a = t.atom;
  const v = a.kind === 'axis' ? at.get(a.axis.id)! : a.kind === 'data' ? NaN : a.kind === 'quotient' ? Math.trunc(ev(a.of, at) / D.evaluate(a.by, sym)) : ev(a.of, at) % D.evaluate(a.by, sym);
  return n + f * v; }, 0);
test('g', () => {
  const s0 = D.symbol(0), s1 = D.symbol(1), w = D.sub(s1, 2);
  for (sym of [[3, 4], [4, 6], [5, 7], [6, 5]]) {
    const [P, Q] = sym; const W = Q - 2;
    const i0 = axisIndex({ id: 0, extent: 2, axis: null as any }), i2 = axisIndex({ id: 2, extent: s1, axis: null as any });
    // as the kernel has it: position in [2,s0,s1] -> pad [2*s0,s1] -> source [2*s0,w] -> view of [2,s0,w] -> g
    const flat = linear([i0, i2], [D.mul(s0, s1), 1]);
    const whole = delinearize(flat, [2, s0, s1]);
    const inPad = delinearize(linear(whole, [D.mul(s0, s1), s1, 1]), [D.mul(2, s0), s1]);
    const src = linear(inPad, [w, 1]);
    const at3 = delinearize(src, [2, s0, w]);
    const g = linear(at3, [D.mul(s0, s1), s1, 1], 2);
    for (let a = 0; a < 2; a++) for (let c = 0; c < W; c++) { const m = new Map([[0, a], [2, c]]); const got = ev(g, m); const want = a * P * Q + c + 2; if (got !== want) { console.log('BAD', sym.join(), a, c, got, want, '\n whole', whole.map((x) => `${x.key} = ${ev(x, m)}`).join('  ;  '), '\n pad', inPad.map((x) => `${x.key} = ${ev(x, m)}`).join('  ;  '), '\n src', src.key, ev(src, m), '\n at3', at3.map((x) => `${x.key} = ${ev(x, m)}`).join('  ;  ')); return; } }
  }
});
