import { test, vi } from 'vitest';
import * as D from '../shape/dim.ts';
const seen: any[] = [];
vi.mock('../schedule/share.ts', async (orig) => { const m: any = await orig(); return { ...m, shareEqual: (c: any, d: any) => { const r = m.shareEqual(c, d); seen.push([c, r]); return r; } }; });
import { torch } from '../torch.ts';
const show = (p: any, d = 0): string => `${' '.repeat(d)}${p.id} ${p.body.op} ${p.body.slot ?? ''} [${p.shape.map(D.keyOf)}] ${p.body.op === 'view' ? `strides ${p.body.strides.map(D.keyOf)} off ${D.keyOf(p.body.offset)}` : p.body.op === 'pad' ? `starts ${p.body.starts.map(D.keyOf)}` : ''}\n${p.srcs.map((s: any) => show(s, d + 1)).join('')}`;
test('h', () => {
  for (const [p, q] of [[4, 6], [5, 7], [3, 4]]) {
    const x = torch.arange(2 * p * q, { dtype: torch.float64 }).reshape(2, p, q).requires_grad_(); x.tolist?.call(x.detach());
    const g = torch.tensor(Array.from({ length: 2 * p * q }, (_, i) => i), { dtype: torch.float64 }).reshape(2, p, q);
    const y = x.roll([1, 2], [1, 2]); y.detach().tolist(); const n = seen.length;
    y.backward(g); const got = JSON.stringify(x.grad!.tolist()); console.log(got);
    if (p === 3) { const e = seen[seen.length - 1]; console.log(n, seen.length, Object.keys(e[0])); for (const k of [0, 1]) console.log(k, Object.entries(e[k]).map(([a, b]: any) => a + ': ' + (Array.isArray(b) && b[0]?.body ? b.map((r: any) => show(r)).join('---') : b instanceof Map ? [...b.values()].map((r: any) => r.prim ? JSON.stringify(Object.keys(r)) + show(r.prim) : String(r)).join('---') : typeof b)).join(' | ')); }
  }
});
