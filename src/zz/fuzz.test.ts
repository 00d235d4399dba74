import { readFileSync } from 'node:fs';
import { test } from 'vitest';
import { torch } from '../torch.ts';
test('fuzz', () => {
  const cases = JSON.parse(readFileSync('/tmp/fuzz.json', 'utf8')) as any[];
  const T = (v: any, sh: number[], dtype: any): any => torch.tensor(v, { dtype }).reshape(sh);
  const same = (a: any, b: any): boolean => { if (b === null) return a === null; const f = a.reshape(-1).tolist() as number[]; return f.length === b.length && f.every((q, k) => Math.abs(q - b[k]) < 1e-9); };
  let bad = 0;
  const fail = (k: number, what: string): void => { bad++; if (bad < 25) console.log(k, what, JSON.stringify(cases[k].sh), cases[k].perm, JSON.stringify(cases[k].parts)); };
  cases.forEach((c, k) => {
    const parts = c.parts.map((p: any) => p.k === 'n' ? null : p.k === 't' ? T(p.v, p.sh, torch.int64) : p.k === 'm' ? T(p.v, p.sh, torch.bool) : p.v);
    try {
      const a = T(c.x, c.sh, torch.float64).requires_grad_();
      const v = c.perm ? a.permute(c.perm) : a;
      const y = v.at(...parts);
      if (c.err !== undefined) return fail(k, `no error: ${c.err}`);
      if (y.shape.join() !== c.y.sh.join()) return fail(k, `shape ${y.shape} vs ${c.y.sh}`);
      if (!same(y.detach(), c.y.v)) return fail(k, 'values');
      const w = torch.arange(1, y.numel() + 1, { dtype: torch.float64 }).reshape(y.shape);
      y.mul(w).sum().backward();
      if (!same(a.grad, c.g)) return fail(k, 'gradient');
    } catch (e) { if ((e as Error).message !== c.err) fail(k, `${(e as Error).message} (expected ${c.err ?? 'none'})`); return; }
    if (c.val === undefined) return;
    try {
      const a = T(c.x, c.sh, torch.float64).requires_grad_(); const vv = T(c.val.v, c.val.sh, torch.float64).requires_grad_();
      const b = a.mul(2); const d = c.perm ? b.permute(c.perm) : b;
      d.set(parts, vv);
      if (c.serr !== undefined) return fail(k, `set: no error: ${c.serr}`);
      if (!same(b.detach(), c.b)) return fail(k, `set values`);
      const w = torch.arange(1, b.numel() + 1, { dtype: torch.float64 }).reshape(b.shape);
      b.mul(w).sum().backward();
      if (!same(a.grad, c.ga)) return fail(k, 'set gradient a');
      if (!same(vv.grad, c.gv)) return fail(k, `set gradient v ${vv.grad?.tolist()} vs ${c.gv}`);
    } catch (e) { if ((e as Error).message !== c.serr) fail(k, `set: ${(e as Error).message} (expected ${c.serr ?? 'none'}) val ${c.val.sh}`); }
  });
  console.log(`${bad} of ${cases.length} differ`);
}, 300000);
