/** The machines of random programs: the naive model, and the engine on a device. */
import type { Tensor } from '../src/index.ts';
import torch from '../src/index.ts';
import { sliceOf } from '../src/ops/shape.ts';
import { isNonOverlapping } from '../src/shape/view.ts';
import { overlapPartly } from '../src/tensor/overlap.ts';
import { hasView, isInjective, NaiveTensor } from './naive-model.ts';
import type { Machine } from './random-program.ts';

const reshapeNaive = (x: NaiveTensor, shape: readonly number[]): NaiveTensor => x.reshape(shape, hasView(x, shape));
export const naive: Machine<NaiveTensor> = {
  make: (shape, values) => new NaiveTensor(Float32Array.from(values), shape),
  shape: (t) => t.shape,
  writable: isInjective,
  values: (t) => t.values(),
  unary: (name, x) => x[name](),
  scale: (x, by) => x.scale(by),
  shift: (x, by) => x.shift(by),
  binary: (name, x, y) => x[name](y),
  reduce: (name, x, dim, keepdim) => x[name](dim, keepdim),
  softmax: (x, dim) => x.softmax(dim),
  matmul: (x, y) => x.matmul(y),
  cat: (x, y, dim) => x.cat(y, dim),
  permute: (x, order) => x.permute(order),
  slice: (x, dim, start, end, step) => x.slice(dim, start, end, step),
  select: (x, dim, index) => x.select(dim, index),
  unsqueeze: (x, dim) => x.unsqueeze(dim),
  expandFront: (x, count) => x.expandFront(count),
  reshape: reshapeNaive,
  unbind: (x, dim) => Array.from({ length: x.shape[dim] }, (_, i) => x.select(dim, i)),
  write: (name, x, y) => void x[name](y),
  fill: (x, value) => void x.fill_(value),
};

export const engine = (device: string): Machine<Tensor> => ({
  make: (shape, values) => torch.tensor(values, { device }).reshape([...shape]),
  shape: (t) => t.view_.shape,
  writable: (t) => isNonOverlapping(t.view_.shape, t.view_.strides),
  values: (t) => t.detach().flatten().tolist() as number[],
  unary: (name, x) => x[name](),
  scale: (x, by) => x.mul(by),
  shift: (x, by) => x.add(by),
  binary: (name, x, y) => x[name](y),
  reduce: (name, x, dim, keepdim) => (x[name] as (dim: number, keepdim: boolean) => Tensor).call(x, dim, keepdim),
  softmax: (x, dim) => x.softmax(dim),
  matmul: (x, y) => x.matmul(y),
  cat: (x, y, dim) => torch.cat([x, y], dim),
  permute: (x, order) => x.permute([...order]),
  slice: (x, dim, start, end, step) => sliceOf(x, dim, start, end, step) as Tensor,
  select: (x, dim, index) => x.select(dim, index),
  unsqueeze: (x, dim) => x.unsqueeze(dim),
  expandFront: (x, count) => x.expand([count, ...x.view_.shape]),
  reshape: (x, shape) => x.reshape([...shape]),
  unbind: (x, dim) => [...x.unbind(dim)],
  // PyTorch refuses what overlaps partly; the programs mean the values before the write.
  write: (name, x, y) => void (x[name] as (other: Tensor) => Tensor).call(x, overlapPartly(x, y) ? y.clone() : y),
  fill: (x, value) => void x.fill_(value),
});
