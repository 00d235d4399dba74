/**
 * `torch.autograd.functional`: products of vectors with the Jacobian and the Hessian of a function, and these matrices themselves.
 *
 * All by backward. A product with the Jacobian from the right is the gradient of a gradient: `u -> vjp(u)` is linear, so its own vjp with `v` is
 * `J v`, whatever `u` is (zeros here). Left out are `vectorize` and `strategy="forward-mode"`, which change how PyTorch computes and not what.
 *
 * Source: https://github.com/pytorch/pytorch/blob/main/torch/autograd/functional.py (what is checked, the texts)
 * https://docs.pytorch.org/docs/stable/autograd.html#functional-higher-level-api
 */
import { grad } from '../autograd/backward.ts';
import { enable_grad } from '../autograd/modes.ts';
import { Tensor, torchFunctions } from '../ops/methods.ts';

type Tensors = Tensor | readonly Tensor[];
/** One tensor for one, a list for a list. */
type Alike<T extends Tensors> = T extends readonly Tensor[] ? Tensor[] : Tensor;
type JacobianOf<I extends Tensors, O extends Tensors> = O extends readonly Tensor[] ? Alike<I>[] : Alike<I>;
type HessianOf<I extends Tensors> = I extends readonly Tensor[] ? Tensor[][] : Tensor;

export interface FunctionalOptions {
  /** Results can be differentiated again, with respect to the inputs and `v`. */
  readonly create_graph?: boolean;
  /** An input that does not matter is an error instead of zeros. */
  readonly strict?: boolean;
}
type Function<O extends Tensors> = (...inputs: Tensor[]) => O;

const { stack, zeros_like } = torchFunctions as unknown as {
  stack(tensors: readonly Tensor[], dim?: number): Tensor;
  zeros_like(t: Tensor): Tensor;
};

// ---- what all of them do first and last

interface Call {
  readonly inputs: Tensor[];
  readonly outputs: Tensor[];
  readonly manyInputs: boolean;
  readonly manyOutputs: boolean;
}

function listOf(x: unknown, what: string, name: string): Tensor[] {
  if (x instanceof Tensor) return [x];
  if (!Array.isArray(x))
    throw new TypeError(
      `The ${what} given to ${name} must be either a Tensor or a tuple of Tensors but the given ${what} has type ${typeof x}.`,
    );
  x.forEach((t, i) => {
    if (!(t instanceof Tensor))
      throw new TypeError(
        `The ${what} given to ${name} must be either a Tensor or a tuple of Tensors but the value at index ${i} has type ${typeof t}.`,
      );
  });
  return [...(x as Tensor[])];
}

/** A tensor of its own, so that the argument is told from the same tensor inside the function. */
const fresh = (t: Tensor, create_graph: boolean, needs: boolean): Tensor =>
  create_graph && t.requires_grad ? (t.clone() as Tensor) : ((t.detach() as Tensor).requires_grad_(needs) as Tensor);

function prepare(inputs: Tensors, create_graph: boolean, name: string): Tensor[] {
  return listOf(inputs, 'inputs', name).map((t) => fresh(t, create_graph, true));
}
function call(name: string, func: Function<Tensors>, inputs: Tensors, prepared: Tensor[], strict: boolean): Call {
  const result = func(...prepared);
  const outputs = listOf(result, 'outputs of the user-provided function', name);
  if (strict) checkRequiresGrad(outputs, 'outputs');
  return { inputs: prepared, outputs, manyInputs: Array.isArray(inputs), manyOutputs: Array.isArray(result) };
}

function vectorOf(v: Tensors, like: readonly Tensor[], many: boolean, create_graph: boolean, name: string): Tensor[] {
  const vectors = listOf(v, 'v', name).map((t) => fresh(t, create_graph, false));
  if (vectors.length !== like.length)
    throw new Error(
      many
        ? `v is a tuple of invalid length: should be ${like.length} but got ${vectors.length}.`
        : 'The given v should contain a single Tensor.',
    );
  vectors.forEach((t, i) => {
    if (t.shape.join() !== like[i].shape.join())
      throw new Error(`${many ? `Entry ${i} in ` : ''}v has invalid size: should be ${sizeText(like[i])} but got ${sizeText(t)}.`);
  });
  return vectors;
}
const sizeText = (t: Tensor): string => `torch.Size([${t.shape.join(', ')}])`;
const isSingle = (list: readonly Tensor[]): boolean => list.length === 1 && list[0].view_.numel === 1;

/** Outputs that do not require grad, and gradients that are not there, count as nothing. */
function gradients(
  outputs: readonly (Tensor | null)[],
  inputs: readonly Tensor[],
  vectors: readonly Tensor[] | null,
  create_graph: boolean,
  retain_graph = create_graph,
): (Tensor | null)[] {
  const used = outputs.flatMap((t, i) => (t?.requires_grad ? [[t, vectors?.[i] ?? null] as const] : []));
  if (used.length === 0) return inputs.map(() => null);
  return grad(
    used.map(([t]) => t),
    inputs,
    used.map(([, v]) => v),
    { allow_unused: true, create_graph, retain_graph },
  ) as (Tensor | null)[];
}

type Checked = 'outputs' | 'grad_inputs' | 'jacobian' | 'hessian';
const independent = {
  outputs: (i: number) =>
    `Output ${i} of the user-provided function does not require gradients. The outputs must be computed in a differentiable manner from the input when running in strict mode.`,
  grad_inputs: (i: number) =>
    `The gradient with respect to input ${i} is independent of the inputs of the user-provided function. This is not allowed in strict mode.`,
  jacobian: (i: number) =>
    `While computing the hessian, found that the jacobian of the user-provided function with respect to input ${i} is independent of the input. This is not allowed in strict mode. You should ensure that your function is twice differentiable and that the jacobian depends on the inputs (this would be violated by a linear function for example).`,
  hessian: (i: number) =>
    `The hessian of the user-provided function with respect to input ${i} is independent of the input. This is not allowed in strict mode. You should ensure that your function is thrice differentiable and that the hessian depends on the inputs.`,
} as const satisfies Record<Checked, (i: number) => string>;

function checkRequiresGrad(list: readonly (Tensor | null)[], what: Checked): void {
  list.forEach((t, i) => {
    if (t === null)
      throw new Error(`The output of the user-provided function is independent of input ${i}. This is not allowed in strict mode.`);
    if (!t.requires_grad) throw new Error(independent[what](i));
  });
}

type Stage = 'back' | 'back_trick' | 'double_back' | 'double_back_trick';
const missing = {
  back: (i: number) => `The output of the user-provided function is independent of input ${i}. This is not allowed in strict mode.`,
  back_trick: (i: number) =>
    `The gradient with respect to the input is independent of entry ${i} in the grad_outputs when using the double backward trick to compute forward mode gradients. This is not allowed in strict mode.`,
  double_back: (i: number) =>
    `The jacobian of the user-provided function is independent of input ${i}. This is not allowed in strict mode.`,
  double_back_trick: (i: number) =>
    `The hessian of the user-provided function is independent of entry ${i} in the grad_jacobian. This is not allowed in strict mode as it prevents from using the double backward trick to replace forward mode AD.`,
} as const satisfies Record<Stage, (i: number) => string>;

function filled(
  grads: readonly (Tensor | null)[],
  like: readonly Tensor[],
  strict: boolean,
  create_graph: boolean,
  stage: Stage,
): Tensor[] {
  return grads.map((g, i) => {
    if (g === null) {
      if (strict) throw new Error(missing[stage](i));
      return zeros_like(like[i].detach() as Tensor);
    }
    if (strict && create_graph && !g.requires_grad) {
      const what = stage.startsWith('double') ? 'hessian' : 'jacobian';
      throw new Error(
        `The ${what} of the user-provided function is independent of input ${i}. This is not allowed in strict mode when create_graph=True.`,
      );
    }
    return g;
  });
}

function result(list: readonly Tensor[], many: boolean, create_graph: boolean): Tensors {
  const out = create_graph ? [...list] : list.map((t) => t.detach() as Tensor);
  return many ? out : out[0];
}
const zerosThatRequireGrad = (t: Tensor): Tensor => zeros_like(t.detach() as Tensor).requires_grad_() as Tensor;

// ---- the six functions

/** Outputs, and the product of `v` with the Jacobian: what backward gives. */
export function vjp<I extends Tensors, O extends Tensors>(
  func: Function<O>,
  inputs: I,
  v: Tensors | null = null,
  { create_graph = false, strict = false }: FunctionalOptions = {},
): [Alike<O>, Alike<I>] {
  return enable_grad(() => {
    const c = call('vjp', func, inputs, prepare(inputs, create_graph, 'vjp'), strict);
    if (v === null && !isSingle(c.outputs))
      throw new Error('The vector v can only be None if the user-provided function returns a single Tensor with a single element.');
    const vectors = v === null ? null : vectorOf(v, c.outputs, c.manyOutputs, create_graph, 'vjp');
    const grads = filled(gradients(c.outputs, c.inputs, vectors, create_graph), c.inputs, strict, create_graph, 'back');
    return [result(c.outputs, c.manyOutputs, create_graph), result(grads, c.manyInputs, create_graph)] as [Alike<O>, Alike<I>];
  });
}

/** Outputs, and the product of the Jacobian with `v`: how the outputs change when the inputs move along `v`. */
export function jvp<I extends Tensors, O extends Tensors>(
  func: Function<O>,
  inputs: I,
  v: Tensors | null = null,
  { create_graph = false, strict = false }: FunctionalOptions = {},
): [Alike<O>, Alike<O>] {
  return enable_grad(() => {
    const prepared = prepare(inputs, create_graph, 'jvp');
    const vectors = inputVector('jvp', v, prepared, inputs, create_graph);
    const c = call('jvp', func, inputs, prepared, strict);
    const seeds = c.outputs.map(zerosThatRequireGrad);
    const first = gradients(c.outputs, c.inputs, seeds, true);
    if (strict) checkRequiresGrad(first, 'grad_inputs');
    const second = filled(gradients(first, seeds, vectors, create_graph), c.outputs, strict, create_graph, 'back_trick');
    return [result(c.outputs, c.manyOutputs, create_graph), result(second, c.manyOutputs, create_graph)] as [Alike<O>, Alike<O>];
  });
}

function inputVector(
  name: string,
  v: Tensors | null,
  prepared: readonly Tensor[],
  inputs: Tensors,
  create_graph: boolean,
): Tensor[] | null {
  if (v !== null) return vectorOf(v, prepared, Array.isArray(inputs), create_graph, name);
  if (!isSingle(prepared))
    throw new Error('The vector v can only be None if the input to the user-provided function is a single Tensor with a single element.');
  return null;
}

/** The Jacobian, one backward a row: for output i and input j a tensor of the output's dims, then the input's. */
export function jacobian<I extends Tensors, O extends Tensors>(
  func: Function<O>,
  inputs: I,
  { create_graph = false, strict = false }: FunctionalOptions = {},
): JacobianOf<I, O> {
  return enable_grad(() => {
    const c = call('jacobian', func, inputs, prepare(inputs, create_graph, 'jacobian'), strict);
    const blocks = c.outputs.map((out, i) => {
      const rows = rowsOf(out, i, c.inputs, create_graph, strict);
      const whole = c.inputs.map((input, j) => {
        const shape = [...out.shape, ...input.shape];
        return rows.length === 0 ? (input.detach().new_zeros(shape) as Tensor) : (stack(rows.map((row) => row[j])).view(shape) as Tensor);
      });
      return result(whole, c.manyInputs, create_graph);
    });
    return (c.manyOutputs ? blocks : blocks[0]) as JacobianOf<I, O>;
  });
}

/** Gradients of every element of an output. */
function rowsOf(out: Tensor, index: number, inputs: readonly Tensor[], create_graph: boolean, strict: boolean): Tensor[][] {
  const flat = out.reshape(-1) as Tensor;
  return Array.from({ length: out.view_.numel }, (_, k) => {
    const row = gradients([flat.select(0, k) as Tensor], inputs, null, create_graph, true);
    return row.map((g, j) => {
      if (g === null) {
        if (strict)
          throw new Error(
            `Output ${index} of the user-provided function is independent of input ${j}. This is not allowed in strict mode.`,
          );
        return zeros_like(inputs[j].detach() as Tensor);
      }
      if (strict && create_graph && !g.requires_grad)
        throw new Error(
          `The jacobian of the user-provided function is independent of input ${index}. This is not allowed in strict mode when create_graph=True.`,
        );
      return g;
    });
  });
}

function scalarOutput(name: string, c: Call): Tensor {
  if (c.manyOutputs) throw new Error(`The function given to ${name} should return a single Tensor`);
  if (c.outputs[0].view_.numel !== 1)
    throw new Error(`The Tensor returned by the function given to ${name} should contain a single element`);
  return c.outputs[0];
}

/** The Hessian of a function with one result: for inputs i and j a tensor of i's dims, then j's. */
export function hessian<I extends Tensors>(
  func: Function<Tensor>,
  inputs: I,
  { create_graph = false, strict = false }: FunctionalOptions = {},
): HessianOf<I> {
  const many = Array.isArray(inputs);
  const list = listOf(inputs, 'inputs', 'hessian');
  const scalar = (...given: Tensor[]): Tensor => scalarOutput('hessian', call('hessian', func, given, given, strict)).squeeze() as Tensor;
  const gradient = (...given: Tensor[]): Tensor[] => {
    const jac = jacobian(scalar, given, { create_graph: true });
    if (strict) checkRequiresGrad(jac, 'jacobian');
    return jac;
  };
  const full = jacobian(gradient, list, { create_graph, strict });
  return (many ? full : full[0][0]) as HessianOf<I>;
}

/** The output, and the product of `v` with the Hessian: a backward through a backward. */
export function vhp<I extends Tensors>(
  func: Function<Tensor>,
  inputs: I,
  v: Tensors | null = null,
  { create_graph = false, strict = false }: FunctionalOptions = {},
): [Tensor, Alike<I>] {
  return enable_grad(() => {
    const prepared = prepare(inputs, create_graph, 'vhp');
    const vectors = inputVector('vhp', v, prepared, inputs, create_graph);
    const c = call('vhp', func, inputs, prepared, strict);
    const jac = gradients([scalarOutput('vhp', c)], c.inputs, null, true);
    if (strict) checkRequiresGrad(jac, 'jacobian');
    const grads = filled(gradients(jac, c.inputs, vectors, create_graph), c.inputs, strict, create_graph, 'double_back');
    return [result(c.outputs, false, create_graph), result(grads, c.manyInputs, create_graph)] as [Tensor, Alike<I>];
  });
}

/** The output, and the product of the Hessian with `v`: the same numbers as `vhp` for a smooth function, by one backward more. */
export function hvp<I extends Tensors>(
  func: Function<Tensor>,
  inputs: I,
  v: Tensors | null = null,
  { create_graph = false, strict = false }: FunctionalOptions = {},
): [Tensor, Alike<I>] {
  return enable_grad(() => {
    const prepared = prepare(inputs, create_graph, 'hvp');
    const vectors = inputVector('hvp', v, prepared, inputs, create_graph);
    const c = call('hvp', func, inputs, prepared, strict);
    const jac = gradients([scalarOutput('hvp', c)], c.inputs, null, true);
    if (strict) checkRequiresGrad(jac, 'jacobian');
    const seeds = c.inputs.map(zerosThatRequireGrad);
    const twice = gradients(jac, c.inputs, seeds, true);
    if (strict) checkRequiresGrad(jac, 'hessian');
    const grads = filled(gradients(twice, seeds, vectors, create_graph), c.inputs, strict, create_graph, 'double_back_trick');
    return [result(c.outputs, false, create_graph), result(grads, c.manyInputs, create_graph)] as [Tensor, Alike<I>];
  });
}
