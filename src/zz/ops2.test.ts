import { readFileSync } from 'node:fs';
import { test } from 'vitest';
import { torch } from '../torch.ts';
test('ops', () => {
  const cases = JSON.parse(readFileSync('/tmp/ops2.json', 'utf8').replace(/\bNaN\b/g,'null').replace(/-Infinity/g, '-1e999').replace(/\bInfinity\b/g, '1e999')) as any[];
  
  const same = (a: any, b: any): boolean => { if (b === null) return a === null || a.abs().sum().item() === 0; if (a === null) return b.every((q: number) => q === 0); const f = a.double().reshape(-1).tolist() as number[]; return f.length === b.length && f.every((q, k) => q === b[k] || (Number.isNaN(q) && b[k] === null) || Math.abs(q - b[k]) <= 1e-7 * (1 + Math.abs(b[k]))); };
  let bad = 0;
  for (const c of cases) {
    const [p, q, r] = c.pq; const shapes: any = { a: [p, q], b: [p, q], c: [r, p, q], s: [5, q] };
    const env: any = { torch, I: (...q: number[]) => torch.tensor(q, { dtype: torch.int64 }), j: torch.tensor(c.j, { dtype: torch.int64 }).reshape(p, q), k: torch.tensor(c.k, { dtype: torch.int64 }), m: torch.tensor(c.m, { dtype: torch.bool }).reshape(p, q) };
    const L: any = {};
    for (const n of Object.keys(shapes)) env[n] = L[n] = torch.tensor(c.in[n], { dtype: torch.float64 }).reshape(...shapes[n]).requires_grad_();
    const fail = (what: string): void => { bad++; console.log(c.js, '=>', what); };
    try {
      const y = new Function(...Object.keys(env), `return ${c.js}`)(...Object.values(env));
      if (y.shape.join() !== c.y.sh.join()) { fail(`shape ${y.shape} vs ${c.y.sh}`); continue; }
      if (!same(y.detach(), c.y.v)) { fail(`values ${JSON.stringify(y.tolist())} vs ${JSON.stringify(c.y.v)}`); continue; }
      if (!y.requires_grad) { if (Object.values(c.g).some((g) => g !== null)) fail('no grad'); continue; }
      const w = torch.arange(y.numel()).remainder(7).sub(3).double().reshape(y.shape);
      const gs = torch.autograd.grad(y.double().mul(w).sum(), Object.values(L) as any, undefined as any, { allow_unused: true, create_graph: true } as any) as any[];
      let ok = true;
      Object.keys(L).forEach((n, i) => { if (!same(gs[i]?.detach() ?? null, c.g[n])) { ok = false; fail(`grad ${n} ${JSON.stringify(gs[i]?.tolist())} vs ${JSON.stringify(c.g[n])}`); } });
      if (!ok || c.g2 === undefined) continue;
      let tot: any = null;
      for (const g of gs) if (g) { const t = g.mul(g.detach().cos()).sum().add(g.mul(g).sum()); tot = tot === null ? t : tot.add(t); }
      if (!tot.requires_grad) { if (Object.values(c.g2).some((g: any) => g !== null && g.some((q: number) => q !== 0))) fail('no second gradient'); continue; }
      const g2 = torch.autograd.grad(tot, Object.values(L) as any, undefined as any, { allow_unused: true } as any) as any[];
      Object.keys(L).forEach((n, i) => { if (!same(g2[i]?.detach() ?? null, c.g2[n])) fail(`grad2 ${n} ${JSON.stringify(g2[i]?.tolist())} vs ${JSON.stringify(c.g2[n])}`); });
    } catch (e) { fail(`threw ${(e as Error).stack?.slice(0, 400)}`); }
  }
  console.log(`${bad} failures of ${cases.length}`);
}, 300000);
