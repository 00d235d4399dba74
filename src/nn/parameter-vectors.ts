/** `torch.nn.utils`: all parameters as one vector, memory formats of convolutions, modules without initialization. */
import { no_grad } from '../autograd/modes.ts';
import type { Tensor } from '../ops/methods.ts';
import { use } from '../ops/use.ts';
import { defaultGenerator } from '../random/generator.ts';
import { ConvNd } from './conv.ts';
import type { Module } from './module.ts';
import { moveInPlace } from './parameter.ts';

export const parameters_to_vector = (parameters: Iterable<Tensor>): Tensor =>
  use(
    'cat',
    [...parameters].map((p) => p.reshape([-1])),
  ) as Tensor;

/** The parameters become windows of the vector, one after another. */
export function vector_to_parameters(vec: Tensor, parameters: Iterable<Tensor>): void {
  let at = 0;
  no_grad(() => {
    for (const p of parameters) {
      const count = p.numel();
      moveInPlace(p, vec.detach().narrow(0, at, count).view(p.shape) as Tensor);
      at += count;
    }
  });
}

function convertFormat<M extends Module>(module: M, memory_format: string, ndim: number): M {
  no_grad(() => {
    for (const m of module.modules())
      if (m instanceof ConvNd && m.weight.ndim === ndim) moveInPlace(m.weight, m.weight.detach().clone({ memory_format }) as Tensor);
  });
  return module;
}
export const convert_conv2d_weight_memory_format = <M extends Module>(module: M, memory_format: string): M =>
  convertFormat(module, memory_format, 4);
export const convert_conv3d_weight_memory_format = <M extends Module>(module: M, memory_format: string): M =>
  convertFormat(module, memory_format, 5);

/** A module whose parameters nobody has asked to be initialized: the generator is where it was before. */
export function skip_init<A extends readonly unknown[], M extends Module>(module_cls: new (...args: A) => M, ...args: A): M {
  const state = defaultGenerator.get_state();
  try {
    return new module_cls(...args);
  } finally {
    defaultGenerator.set_state(state);
  }
}
