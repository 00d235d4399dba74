import { test } from 'vitest';
import { float64 } from '../dtype/dtype.ts';
import { cat, input, type Prim } from '../graph/prim.ts';
import { vjp } from '../graph/vjp.ts';
import * as D from '../shape/dim.ts';
let sym = [2, 2];
const n = (d: D.Dim): number => D.evaluate(d, sym);
const evalP = (p: Prim, env: Map<Prim, number[]>): number[] => {
  const hit = env.get(p); if (hit) return hit;
  const sh = p.shape.map(n); const total = sh.reduce((a, b) => a * b, 1); const b = p.body; let out: number[] = [];
  const idx = (f: number): number[] => { const r: number[] = []; for (let k = sh.length - 1; k >= 0; k--) { r[k] = f % sh[k]; f = Math.floor(f / sh[k]); } return r; };
  if (b.op === 'view') { const s = evalP(b.srcs[0], env); for (let f = 0; f < total; f++) out.push(s[idx(f).reduce((a, i, k) => a + i * n(b.strides[k]), n(b.offset))]); }
  else if (b.op === 'pad') { const s = evalP(b.srcs[0], env); const ss = b.srcs[0].shape.map(n); for (let f = 0; f < total; f++) { let at = 0, ok = true; idx(f).forEach((i, k) => { const j = (i - n(b.starts[k])) / b.steps[k]; if (!Number.isInteger(j) || j < 0 || j >= ss[k]) ok = false; at = at * ss[k] + j; }); out.push(ok ? s[at] : 0); } }
  else if (b.op === 'scalar' && b.fn === 'add') { const x = evalP(b.srcs[0], env), y = evalP(b.srcs[1], env); out = x.map((v, i) => v + y[i]); }
  else if (b.op === 'cat') { const parts = b.srcs.map((s) => evalP(s, env)); for (let f = 0; f < total; f++) { const i = idx(f); let k = 0; while (i[b.axis] >= n(b.srcs[k].shape[b.axis])) { i[b.axis] -= n(b.srcs[k].shape[b.axis]); k++; } const ss = b.srcs[k].shape.map(n); out.push(parts[k][i.reduce((a, v, d) => a * ss[d] + v, 0)]); } }
  else throw new Error(b.op);
  env.set(p, out); return out;
};
const show = (p: Prim, d = 0): string => `${' '.repeat(d)}${p.body.op} [${p.shape.map(D.keyOf)}] ${p.body.op === 'view' ? `strides ${p.body.strides.map(D.keyOf)} off ${D.keyOf(p.body.offset)}` : p.body.op === 'pad' ? `starts ${p.body.starts.map(D.keyOf)}` : ''}\n${p.srcs.map((s) => show(s, d + 1)).join('')}`;
test('f', () => {
  const s0 = D.symbol(0), s1 = D.symbol(1); const p = s0, q = s1;
  const x = input(0, [2, p, q], float64), g = input(-1, [2, p, q], float64);
  let out = x;
  [[1, D.sub(s0, 1)], [2, D.sub(s1, 2)]].forEach(([axis, start]) => { const a = axis as number; out = cat([out.slice(a, start, D.sub(out.shape[a], start)), out.slice(a, 0, start)], a); });
  const [gx] = vjp([[out, g]], [x]);
  console.log(show(gx!));
  for (sym of [[3, 4], [4, 6], [5, 7]]) { const P = sym[0], Q = sym[1]; const gv = Array.from({ length: 2 * P * Q }, (_, i) => i);
    const got = evalP(gx!, new Map([[g, gv]])); const want = gv.map((_, f) => { const c = f % Q, r = Math.floor(f / Q) % P, b = Math.floor(f / (P * Q)); return b * P * Q + ((r + 1) % P) * Q + ((c + 2) % Q); });
    console.log(sym, got.join() === want.join() ? 'ok' : `BAD ${got} want ${want}`); }
});
