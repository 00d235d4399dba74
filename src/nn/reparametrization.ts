/**
 * `torch.nn.utils.weight_norm`, `spectral_norm`: a weight computed before every forward from parameters that replace it. The old, hook-based
 * forms; https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.weight_norm.html
 */
import { no_grad } from '../autograd/modes.ts';
import type { Tensor } from '../ops/methods.ts';
import { use } from '../ops/use.ts';
import { ConvTranspose1d, ConvTranspose2d, ConvTranspose3d } from './conv.ts';
import { functional } from './functional.ts';
import { normal_ } from './init.ts';
import type { Module } from './module.ts';
import type { HookHandle } from './module-hooks.ts';
import { emptyParameter, isParameter, Parameter } from './parameter.ts';

type Fields = Record<string, Tensor | null>;
const fieldsOf = (m: Module): Fields => m as unknown as Fields;

interface Installed {
  readonly kind: 'weight_norm' | 'spectral_norm';
  readonly compute: (module: Module) => Tensor;
  readonly handle: HookHandle;
}
/** What is installed on a module, by the name of the weight. */
const installed = new WeakMap<Module, Map<string, Installed>>();

function install(
  module: Module,
  name: string,
  kind: Installed['kind'],
  before: (m: Module) => Tensor,
  compute: (m: Module) => Tensor,
): void {
  const handle = module.register_forward_pre_hook((m) => {
    fieldsOf(m)[name] = before(m);
  });
  const all = installed.get(module) ?? new Map<string, Installed>();
  all.set(name, { kind, compute, handle });
  installed.set(module, all);
}
function checkFree(module: Module, name: string, kind: Installed['kind']): void {
  if (installed.get(module)?.get(name)?.kind === kind) throw new Error(`Cannot register two ${kind} hooks on the same parameter ${name}`);
}
/** Takes the hook away; the weight is a parameter again. */
function remove(module: Module, name: string, kind: Installed['kind'], parts: readonly string[]): void {
  const found = installed.get(module)?.get(name);
  if (found?.kind !== kind) throw new Error(`${kind} of '${name}' not found in ${module.toString()}`);
  const weight = no_grad(() => found.compute(module));
  found.handle.remove();
  installed.get(module)!.delete(name);
  for (const part of [...parts, name]) delete fieldsOf(module)[part];
  module.register_parameter(name, new Parameter(weight.detach() as Tensor));
}
function parameterOf(module: Module, name: string): Parameter {
  const weight = fieldsOf(module)[name];
  if (!isParameter(weight)) throw new TypeError(`'${name}' is not a parameter of ${module.constructor.name}`);
  return weight;
}

/** The 2-norm over all dims but one, which stays; `null` or -1: over all. */
function normExcept(v: Tensor, dim: number | null): Tensor {
  return use('norm_except_dim', v, 2, dim ?? -1) as Tensor;
}

/** weight = g v / |v|, as parameters `name_g` and `name_v`. */
export function weight_norm<M extends Module>(module: M, name = 'weight', dim: number | null = 0): M {
  checkFree(module, name, 'weight_norm');
  const weight = parameterOf(module, name);
  const at = dim !== null && dim < -1 ? dim + weight.ndim : dim;
  const compute = (m: Module): Tensor => {
    const [g, v] = [fieldsOf(m)[`${name}_g`]!, fieldsOf(m)[`${name}_v`]!];
    return v.mul(g.div(normExcept(v, at)));
  };
  delete fieldsOf(module)[name];
  module.register_parameter(`${name}_g`, new Parameter(no_grad(() => normExcept(weight, at))));
  module.register_parameter(`${name}_v`, new Parameter(weight.detach() as Tensor));
  fieldsOf(module)[name] = compute(module);
  install(module, name, 'weight_norm', compute, compute);
  return module;
}
export function remove_weight_norm<M extends Module>(module: M, name = 'weight'): M {
  remove(module, name, 'weight_norm', [`${name}_g`, `${name}_v`]);
  return module;
}

/** The weight divided by its largest singular value, which power iteration follows in training mode. Buffers `name_u`, `name_v`. */
export function spectral_norm<M extends Module>(
  module: M,
  name = 'weight',
  n_power_iterations = 1,
  eps = 1e-12,
  dim: number | null = null,
): M {
  checkFree(module, name, 'spectral_norm');
  if (n_power_iterations <= 0)
    throw new Error(`Expected n_power_iterations to be positive, but got n_power_iterations=${n_power_iterations}`);
  const transposed = [ConvTranspose1d, ConvTranspose2d, ConvTranspose3d].some((C) => module instanceof C);
  const axis = dim ?? (transposed ? 1 : 0);
  const matrixOf = (weight: Tensor): Tensor =>
    (axis === 0 ? weight : weight.permute([axis, ...[...weight.shape.keys()].filter((d) => d !== axis)])).reshape([weight.size(axis), -1]);
  const unit = (x: Tensor): Tensor => functional.normalize(x, 2, 0, eps);
  const weight = parameterOf(module, name);
  const random = (size: number): Tensor =>
    unit(normal_(emptyParameter([size], { dtype: weight.dtype, device: weight.device }).detach() as Tensor));
  const [height, width] = matrixOf(weight.detach() as Tensor).shape;
  const [u, v] = no_grad(() => [random(height), random(width)]);
  const compute = (m: Module, iterate: boolean): Tensor => {
    const fields = fieldsOf(m);
    const original = fields[`${name}_orig`]!;
    const matrix = matrixOf(original);
    if (iterate)
      no_grad(() => {
        for (let i = 0; i < n_power_iterations; i++) {
          fields[`${name}_v`]!.copy_(unit(matrix.t().mv(fields[`${name}_u`]!)));
          fields[`${name}_u`]!.copy_(unit(matrix.mv(fields[`${name}_v`]!)));
        }
      });
    // Copies, so that a second forward may iterate before the first one's backward.
    const [left, right] = [fields[`${name}_u`]!.clone(), fields[`${name}_v`]!.clone()];
    return original.div(left.dot(matrix.mv(right)));
  };
  delete fieldsOf(module)[name];
  module.register_parameter(`${name}_orig`, weight);
  fieldsOf(module)[name] = weight.detach() as Tensor;
  module.register_buffer(`${name}_u`, u);
  module.register_buffer(`${name}_v`, v);
  install(
    module,
    name,
    'spectral_norm',
    (m) => compute(m, m.training),
    (m) => compute(m, false),
  );
  return module;
}
export function remove_spectral_norm<M extends Module>(module: M, name = 'weight'): M {
  remove(module, name, 'spectral_norm', [`${name}_orig`, `${name}_u`, `${name}_v`]);
  return module;
}
