/**
 * Losses as one operator each: operands promoted and broadcast, a formula in the computation dtype, the reduction, one rounding.
 *
 * Numbers (margins, betas) are parameters of the program. A formula may reduce by itself what it does not keep an entry for; a gradient of its
 * own is for formulas that are element-wise.
 */
import type { DType } from '../dtype/dtype.ts';
import { elementwiseDtypes, type PromotionKind } from '../dtype/promotion.ts';
import type { Operator } from '../graph/operator.ts';
import { dimPrim, type Prim } from '../graph/prim.ts';
import { sumToShape } from '../graph/vjp.ts';
import * as dimsOf from '../shape/dim.ts';
import { constantsOf, record } from '../tensor/record.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { detached } from '../tensor/view-tensor.ts';
import { checkBroadcast } from './elementwise.ts';

export type Reduction = 'none' | 'mean' | 'sum';

/** The reduction that is meant, with PyTorch's two older arguments taken into account. */
export function reductionOf(sizeAverage: boolean | null, reduce: boolean | null, reduction: string): Reduction {
  if (sizeAverage !== null || reduce !== null) return (reduce ?? true) ? ((sizeAverage ?? true) ? 'mean' : 'sum') : 'none';
  if (reduction === 'elementwise_mean') return 'mean';
  if (reduction !== 'none' && reduction !== 'mean' && reduction !== 'sum')
    throw new Error(`${reduction} is not a valid value for reduction`);
  return reduction;
}
/** The reductions of ATen's integer arguments. */
export const reductionNumbers = ['none', 'mean', 'sum'] as const;

interface LossConstants<C> {
  readonly reduction: Reduction;
  readonly compute: DType;
  readonly result: DType;
  readonly params: number;
  readonly extra: C;
}
export interface LossSpec<C> {
  readonly name: string;
  /** Promotion of the operands; default: integers give floats. */
  readonly kind?: PromotionKind;
  readonly body: (operands: readonly Prim[], params: readonly Prim[], extra: C) => Prim;
  /** Gradients of the operands for the gradient `g` of each entry of the loss; a missing one is none. */
  readonly gradient?: (g: Prim, operands: readonly Prim[], params: readonly Prim[], extra: C) => readonly (Prim | null)[];
  /** Operands that get no gradient, by position. */
  readonly constantOperands?: readonly number[];
  readonly check?: (compute: DType) => void;
  /** Operands need not broadcast: the formula arranges them, and `shapes` has been checked. */
  readonly arranged?: boolean;
}
export interface LossCallOptions<C> {
  readonly params?: readonly number[];
  readonly extra?: C;
  readonly extraKey?: string;
}
export type LossCall<C> = (operands: readonly Tensor[], reduction: Reduction, options?: LossCallOptions<C>) => Tensor;

export function reducePrim(loss: Prim, reduction: Reduction): Prim {
  if (reduction === 'none') return loss;
  const total = loss.sum();
  return reduction === 'sum' ? total : total.div(dimPrim(dimsOf.productOf(loss.shape), loss.dtype));
}

export function lossCall<C = null>(spec: LossSpec<C>): LossCall<C> {
  const operator: Operator<LossConstants<C>> = {
    name: spec.name,
    paramTypes: ({ compute, params }) => new Array<DType>(params).fill(compute.real),
    body: (inputs, { constants: c, params }) => {
      const operands = inputs.map((x) => x.cast(c.compute));
      return [reducePrim(spec.body(operands, params, c.extra), c.reduction).cast(c.result)];
    },
    gradient:
      spec.gradient &&
      (([g], inputs, _, { constants: c, params }) => {
        if (g === null) return inputs.map(() => null);
        const operands = inputs.map((x) => x.cast(c.compute));
        const { shape } = spec.body(operands, params, c.extra);
        const each = g.cast(c.compute);
        const share = c.reduction === 'mean' ? each.div(dimPrim(dimsOf.productOf(shape), c.compute)) : each;
        const all = spec.gradient!(share.expand(shape), operands, params, c.extra);
        return inputs.map((x, i) => {
          const grad = all[i];
          return grad ? sumToShape(grad.expand(shape), x.shape).cast(x.dtype) : null;
        });
      }),
  };
  return (operands, reduction, { params = [], extra = null as C, extraKey = '' } = {}) => {
    const { compute, result } = elementwiseDtypes(
      spec.kind ?? 'INT_TO_FLOAT',
      operands.map((t) => ({ dtype: t.dtype, ndim: t.ndim })),
    );
    spec.check?.(compute);
    if (spec.arranged !== true) checkBroadcast(operands);
    const constants = constantsOf(
      `loss:${spec.name}:${reduction}:${compute.name}:${result.name}:${params.length}:${extraKey}`,
      (): LossConstants<C> => ({ reduction, compute, result, params: params.length, extra }),
    );
    const inputs = operands.map((t, i) => (spec.constantOperands?.includes(i) ? detached(t) : t));
    return record(operator as never, inputs, { constants, params: [...params] })[0];
  };
}
