import { test } from 'vitest';
import { torch } from '../torch.ts';
const S = [[4,6],[5,7],[3,4]];
test('b', () => {
  const run = (name: string, f: (x: any, p: number, q: number) => any) => {
    const out = S.map(([p, q]) => { const x = torch.arange(2 * p * q, { dtype: torch.float64 }).reshape(2, p, q); const y = f(x, p, q); 
      const z = torch.tensor(y.tolist(), {dtype: torch.float64}); const ref = torch.tensor(f(torch.tensor(x.tolist(), {dtype: torch.float64}).clone(), p, q).tolist(), {dtype: torch.float64}); return JSON.stringify(y.tolist()); });
    console.log(name, out.join('\n   '));
  };
  // gradient of slice(1)+slice(2) of cat, made of functional pieces
  const grad = (f: (x: any, p: number, q: number) => any) => (x: any, p: number, q: number) => { const a = x.clone().requires_grad_(); const y = f(a, p, q); y.backward(torch.arange(y.numel(), { dtype: torch.float64 }).reshape(y.shape)); return a.grad; };
  run('roll', grad((x, p, q) => x.roll([1, 2], [1, 2])));
});
