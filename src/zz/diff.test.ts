import { readFileSync } from 'node:fs';
import { test } from 'vitest';
import { torch } from '../torch.ts';
test('diff', () => {
  const cases = JSON.parse(readFileSync('/tmp/diff.json', 'utf8').replace(/\bInfinity\b/g,'1e999').replace(/\bNaN\b/g,'null')) as any[];
  const close = (a: any, b: any): boolean => Array.isArray(a) ? Array.isArray(b) && a.length === b.length && a.every((q: any, k: number) => close(q, b[k])) : typeof a === 'object' && a !== null && 're' in a ? close([a.re, a.im], b) : typeof a === 'number' && typeof b === 'number' ? a === b || Math.abs(a - b) <= 1e-5 + 1.3e-6 * Math.abs(b) : a === b;
  const judge = (r: any, e: any): string | null => {
    if (Array.isArray(e)) { if (!Array.isArray(r)) return 'not array'; if (r.length !== e.length) return `length ${r.length} vs ${e.length}`; for (let k = 0; k < e.length; k++) { const j = judge(r[k], e[k]); if (j) return `${k}: ${j}`; } return null; }
    if (typeof e === 'object' && e !== null) {
      if (r.dtype.name !== e.dtype) return `dtype ${r.dtype.name} vs ${e.dtype}`;
      if (r.shape.join() !== e.shape.join()) return `shape ${r.shape} vs ${e.shape}`;
      if (!close(r.tolist(), e.data)) return `data ${JSON.stringify(r.tolist())} vs ${JSON.stringify(e.data)}`;
      if (r.stride().join() !== e.stride.join() && r.numel() > 0) return `STRIDE ${r.stride()} vs ${e.stride}`;
      return null;
    }
    return r === e ? null : `${r} vs ${e}`;
  };
  let bad = 0;
  for (const c of cases) {
    const env: any = { torch, I: (...a: number[]) => torch.tensor(a, { dtype: torch.int64 }) };
    env.x = torch.arange(6, { dtype: torch.float32 }).reshape(2, 3); env.y = torch.arange(24, { dtype: torch.float32 }).reshape(2, 3, 4);
    env.v = torch.tensor([3, -1, 2, 0]); env.L = torch.tensor([[1n, 0n], [0n, 1n]]); env.i = torch.arange(12).reshape(3, 4);
    env.m = torch.tensor([[true, false, true], [false, true, false]]);
    let r: any, err: string | null = null;
    try {
      const parts = (c.js as string).split(';'); const last = parts.pop();
      r = new Function(...Object.keys(env), `${parts.join(';')}; return (${last});`)(...Object.values(env));
      const j = c.err === undefined ? judge(r, c.out) : (r?.tolist?.(), 'no error');
      if (j !== null) err = j + (c.err ? ` (expected: ${c.err})` : '');
    } catch (e) {
      const text = (e as Error).message.split('\n * ')[0];
      if (c.err === undefined) err = `threw ${(e as Error).stack?.slice(0, 300)}`;
      else if (text !== c.err) err = `TEXT ${text}\n        vs ${c.err}`;
    }
    if (err !== null) { bad++; console.log(`${c.js}\n   => ${err}`); }
  }
  console.log(`${bad} of ${cases.length} differ`);
}, 120000);
