import { test } from 'vitest';
import { torch } from '../torch.ts';
const go = (p: number, q: number, r: number, f: (x: any) => any, inv: (w: any) => any) => {
  const c = torch.arange(p * q * r, { dtype: torch.float64 }).reshape(r, p, q).requires_grad_();
  const y = f(c); const w = torch.arange(p * q * r, { dtype: torch.float64 }).reshape(r, p, q);
  y.mul(w).sum().backward();
  return torch.equal(c.grad!, inv(w)) && torch.equal(y.detach(), f(c.detach()).clone());
};
const S = [[4,6,2],[5,7,3],[3,4,4],[6,5,2],[3,4,4],[3,4,3],[4,4,4], [5,4,3]];
test('a', () => {
  console.log('dim1', S.map(([p,q,r]) => go(p,q,r,(x)=>x.roll(1,1), (w) => w.roll(-1,1))).join());
  console.log('dim2', S.map(([p,q,r]) => go(p,q,r,(x)=>x.roll(2,2), (w) => w.roll(-2,2))).join());
  console.log('fwd', S.map(([p,q,r]) => { const c = torch.arange(p * q * r).reshape(r, p, q); return torch.equal(c.roll([1,2],[1,2]), c.roll(1,1).roll(2,2)); }).join());
  console.log('cat', S.map(([p,q,r]) => go(p,q,r,(x)=>torch.cat([x.narrow(1,p-1,1), x.narrow(1,0,p-1)],1), (w) => w.roll(-1,1))).join());
  console.log('both', S.map(([p,q,r]) => go(p,q,r,(x)=>x.roll([1,2],[1,2]), (w) => w.roll([-1,-2],[1,2]))).join());
});
