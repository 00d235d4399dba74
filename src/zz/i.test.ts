import { test, vi } from 'vitest';
import * as D from '../shape/dim.ts';
const SYMS = [5, 7]; const bad = new Set<string>();
vi.mock('../schedule/index-map.ts', async (orig) => { const m: any = await orig();
  const sym = [5, 7];
  const ev = (i: any, at: Map<string, number>): number => D.evaluate(i.offset, sym) + i.terms.reduce((n: number, t: any) => {
    const f = D.evaluate(t.factor, sym); const a = t.atom;
    const v = a.kind === 'axis' ? at.get(a.key)! : a.kind === 'quotient' ? Math.trunc(ev(a.of, at) / D.evaluate(a.by, sym)) : ev(a.of, at) % D.evaluate(a.by, sym);
    return n + f * v; }, 0);
  const axesOf = (i: any, out: Map<string, any>): void => i.terms.forEach((t: any) => t.atom.kind === 'axis' ? out.set(t.atom.key, t.atom.axis) : t.atom.of && axesOf(t.atom.of, out));
  return { ...m, delinearize: (flat: any, shape: any) => { const r = m.delinearize(flat, shape);
    try { const ax = new Map<string, any>(); axesOf(flat, ax); const names = [...ax.keys()]; const ext = names.map((k) => D.evaluate(ax.get(k).extent, sym)); const total = ext.reduce((a, b) => a * b, 1); const sh = shape.map((d: any) => D.evaluate(d, sym)); const size = sh.reduce((a: number, b: number) => a * b, 1);
      for (let f = 0; f < total && f < 400; f++) { let x = f; const at = new Map<string, number>(); names.forEach((k, j) => { at.set(k, x % ext[j]); x = Math.floor(x / ext[j]); }); const v = ev(flat, at); if (v < 0 || v >= size) continue; const want: number[] = []; let q = v; for (let k = sh.length - 1; k >= 0; k--) { want[k] = q % sh[k]; q = Math.floor(q / sh[k]); } const got = r.map((o: any) => ev(o, at)); if (got.join() !== want.join()) { const key = `flat ${flat.key} in [${shape.map(D.keyOf)}] at ${[...at]}: value ${v} got ${got} want ${want}: ${r.map((o: any) => o.key).join(' ; ')}`; if (bad.size < 6) bad.add(key); break; } } } catch (e) { }
    return r; } }; });
import { torch } from '../torch.ts';
test('i', () => {
  for (const [p, q] of [[4, 6], [5, 7]]) {
    const x = torch.arange(2 * p * q, { dtype: torch.float64 }).reshape(2, p, q).requires_grad_();
    const g = torch.tensor(Array.from({ length: 2 * p * q }, (_, i) => i), { dtype: torch.float64 }).reshape(2, p, q);
    const y = x.roll([1, 2], [1, 2]); y.detach().tolist(); y.backward(g); console.log(JSON.stringify(x.grad!.tolist()));
  }
  console.log([...bad].join('\n'));
});
