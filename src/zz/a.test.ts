import { test, expect } from 'vitest';
import { torch } from '../torch.ts';
test('a', () => {
  try {
  const x = torch.tensor([5]).clone();
  x.as_strided_([1],[1],{storage_offset:0});
  console.log(x.tolist());
  } catch (e) { console.log((e as Error).stack); }
  try {
  const b = torch.tensor(true);
  const y = torch.index_select(b, 0, torch.tensor([0n]));
  console.log(y.tolist());
  } catch (e) { console.log((e as Error).stack); }
  const x = torch.randn(5,5,{dtype: torch.float64}).requires_grad_();
  const v = torch.tensor(3, {dtype: torch.float64}).requires_grad_();
  const y = x.index_fill(-1, torch.tensor([0n,4n,2n,1n,3n]), v);
  const g = torch.randn(5,5,{dtype: torch.float64});
  y.backward(g);
  console.log(v.grad!.tolist(), g.sum().tolist(), x.grad!.tolist());
});
