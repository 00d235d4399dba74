/**
 * Gradients against central differences, in float64. https://docs.pytorch.org/docs/stable/autograd.html#numerical-gradient-checking
 * Complex inputs and outputs are checked as pairs of real numbers.
 */
import type { Tensor } from '../tensor/tensor.ts';
import { grad } from './backward.ts';
import { enable_grad, no_grad } from './modes.ts';

/** What the checks need of the operator layer, which sits above and hands it down. */
export interface CheckOperators {
  /** A leaf with these float64 numbers. */
  readonly make: (values: Float64Array, like: Tensor, requires_grad: boolean) => Tensor;
  /** Real numbers of a tensor, row-major; a complex one gives pairs. */
  readonly read: (t: Tensor) => Float64Array;
  readonly randn: (shape: readonly number[], like: Tensor) => Tensor;
  readonly isTensor: (x: unknown) => x is Tensor;
}

export interface GradcheckOptions {
  readonly eps?: number;
  readonly atol?: number;
  readonly rtol?: number;
  /** Throw (default) or return false. */
  readonly raise_exception?: boolean;
  /** Compare one random projection of each input's Jacobian instead of all its elements: a few evaluations an input. */
  readonly fast_mode?: boolean;
}

type CheckedFunction = (...inputs: Tensor[]) => Tensor | readonly Tensor[];

export class GradcheckError extends Error {
  override readonly name = 'GradcheckError';
}

const outputsOf = (ops: CheckOperators, result: Tensor | readonly Tensor[]): Tensor[] => {
  const list: readonly Tensor[] = ops.isTensor(result) ? [result] : result;
  return list.filter((t) => t.dtype.is_floating_point || t.dtype.is_complex);
};

export function makeGradcheck(ops: CheckOperators) {
  /** True if the gradients of `fn` at `inputs` (float64 or complex128) agree with central differences. */
  function gradcheck(fn: CheckedFunction, inputs: Tensor | readonly Tensor[], options: GradcheckOptions = {}): boolean {
    const { eps = 1e-6, atol = 1e-5, rtol = 1e-3, raise_exception = true } = options;
    const list: readonly Tensor[] = ops.isTensor(inputs) ? [inputs] : inputs;
    const fail = (text: string): boolean => {
      if (raise_exception) throw new GradcheckError(text);
      return false;
    };
    if (!list.some((t) => t.requires_grad))
      throw new Error('gradcheck expects at least one input tensor to require gradient, but none of the them have requires_grad=True.');
    const values = list.map((t) => ops.read(t));
    const rebuilt = list.map((t, i) => ops.make(values[i], t, t.requires_grad));
    const outputs = outputsOf(ops, fn(...rebuilt));
    const wrt = rebuilt.flatMap((t, i) => (t.requires_grad ? [i] : []));
    const at = (which: number, k: number, delta: number): Float64Array[] => {
      const moved = values[which].slice();
      moved[k] += delta;
      const args = rebuilt.map((t, i) => (i === which ? ops.make(moved, list[i], false) : t));
      return no_grad(() => outputsOf(ops, fn(...args)).map((o) => ops.read(o)));
    };
    if (options.fast_mode) return projected({ fn, values, rebuilt, outputs, wrt, eps, atol, rtol, fail, like: list });
    // Numbers: numeric[w][k][o][j] = d output o [j] / d input w [k].
    for (const w of wrt) {
      const numeric = Array.from(values[w], (_, k) => {
        const up = at(w, k, eps);
        const down = at(w, k, -eps);
        return up.map((u, o) => u.map((x, j) => (x - down[o][j]) / (2 * eps)));
      });
      for (const [o, output] of outputs.entries()) {
        if (!output.requires_grad) {
          if (numeric.some((row) => row[o].some((x) => Math.abs(x) > atol)))
            return fail(`Numerical gradient for function expected to be zero: output ${o} does not require grad.`);
          continue;
        }
        const count = ops.read(output).length;
        for (let j = 0; j < count; j++) {
          const seed = new Float64Array(count);
          seed[j] = 1;
          const [g] = grad(output, rebuilt[w], ops.make(seed, output, false), { retain_graph: true, allow_unused: true });
          const analytic = g === null ? new Float64Array(values[w].length) : ops.read(g);
          for (let k = 0; k < values[w].length; k++) {
            const n = numeric[k][o][j];
            const a = analytic[k];
            if (Math.abs(a - n) > atol + rtol * Math.abs(n) || Number.isNaN(a) !== Number.isNaN(n))
              return fail(
                `Jacobian mismatch for output ${o} with respect to input ${w},\nnumerical: d output[${j}] / d input[${k}] = ${n}\nanalytical: ${a}`,
              );
          }
        }
      }
    }
    return true;
  }

  interface Projection {
    readonly fn: CheckedFunction;
    readonly values: readonly Float64Array[];
    readonly rebuilt: readonly Tensor[];
    readonly like: readonly Tensor[];
    readonly outputs: readonly Tensor[];
    readonly wrt: readonly number[];
    readonly eps: number;
    readonly atol: number;
    readonly rtol: number;
    readonly fail: (text: string) => boolean;
  }
  /** v J u for random unit u of each input and random v of the outputs: by differences along u, and by the gradient of v. */
  function projected({ fn, values, rebuilt, like, outputs, wrt, eps, atol, rtol, fail }: Projection): boolean {
    const direction = (t: Tensor): Float64Array => {
      const d = ops.read(ops.randn(t.view_.shape, t));
      const norm = Math.hypot(...d) || 1;
      return d.map((x) => x / norm);
    };
    const seeds = outputs.map(direction);
    const recorded = outputs.flatMap((o, i) => (o.requires_grad ? [i] : []));
    const gradients =
      recorded.length === 0
        ? wrt.map(() => null)
        : grad(
            recorded.map((i) => outputs[i]),
            wrt.map((w) => rebuilt[w]),
            recorded.map((i) => ops.make(seeds[i], outputs[i], false)),
            { retain_graph: true, allow_unused: true },
          );
    for (const [n, w] of wrt.entries()) {
      const along = direction(like[w]);
      const at = (delta: number): number => {
        const moved = values[w].map((x, k) => x + delta * along[k]);
        const args = rebuilt.map((t, i) => (i === w ? ops.make(moved, like[w], false) : t));
        const found = no_grad(() => outputsOf(ops, fn(...args)).map((o) => ops.read(o)));
        return dot(found, seeds);
      };
      const numeric = (at(eps) - at(-eps)) / (2 * eps);
      const g = gradients[n];
      const analytic = g === null ? 0 : dot([ops.read(g)], [along]);
      const size = (all: readonly Float64Array[]): number => all.reduce((sum, x) => sum + x.reduce((a, b) => a + Math.abs(b), 0), 0);
      const allowed = atol * Math.max(1, size([along]) * size(seeds)) + rtol * Math.abs(numeric);
      if (Math.abs(analytic - numeric) > allowed || Number.isNaN(analytic) !== Number.isNaN(numeric))
        return fail(
          `Jacobian mismatch with respect to input ${w}, in a random projection,\nnumerical: ${numeric}\nanalytical: ${analytic}`,
        );
    }
    return true;
  }

  /** The same for gradients of gradients: checks the gradients of `fn`'s gradients with respect to inputs and random output gradients. */
  function gradgradcheck(fn: CheckedFunction, inputs: Tensor | readonly Tensor[], options: GradcheckOptions = {}): boolean {
    const list: readonly Tensor[] = ops.isTensor(inputs) ? [inputs] : inputs;
    const seeds = outputsOf(ops, fn(...list))
      .filter((o) => o.requires_grad)
      .map((o) => ops.randn(o.view_.shape, o));
    const first = (...all: Tensor[]): Tensor[] => {
      const ins = all.slice(0, list.length);
      const out = outputsOf(ops, fn(...ins)).filter((o) => o.requires_grad);
      const wrt = ins.filter((t) => t.requires_grad);
      return grad(out, wrt, all.slice(list.length), { create_graph: true, allow_unused: true }).filter((g): g is Tensor => g !== null);
    };
    // In `first` the perturbed inputs must be on the tape: recording is on although the differences are taken without it.
    const recorded: CheckedFunction = (...all) => enableFor(list, all, first);
    return gradcheck(recorded, [...list, ...seeds], options);
  }
  return { gradcheck, gradgradcheck };
}

/** Inputs that needed a gradient need one again when only their numbers are looked at. */
function enableFor(list: readonly Tensor[], all: Tensor[], first: (...all: Tensor[]) => Tensor[]): Tensor[] {
  const leaves = all.map((t, i) => (i < list.length && list[i].requires_grad && !t.requires_grad ? t.requires_grad_() : t));
  return enable_grad(() => first(...leaves));
}

const dot = (a: readonly Float64Array[], b: readonly Float64Array[]): number =>
  a.reduce((sum, x, i) => sum + x.reduce((part, y, j) => part + y * b[i][j], 0), 0);
