/**
 * Adaptive pooling: windows chosen so that a given number of them covers each dim. https://docs.pytorch.org/docs/stable/nn.functional.html#pooling-functions
 *
 * Result o of a dim covers [floor(o in / out), ceil((o + 1) in / out)). Where out divides in these are equal windows side by side, an ordinary
 * pool. Else an element is looked up for each position of the largest window, and those beyond a window's end are left out. Which results an
 * element is in is the same formula with in and out exchanged, so gradients are look-ups too.
 */
import { type DType, int64 } from '../dtype/dtype.ts';
import { computationDtype, scalarTypeName } from '../dtype/promotion.ts';
import type { Operator } from '../graph/operator.ts';
import { constant, dimPrim, iota, type Prim } from '../graph/prim.ts';
import type { Dim } from '../shape/dim.ts';
import { constantsOf, record } from '../tensor/record.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { declare, overload } from './declare.ts';
import { shapeList } from './dims.ts';
import { use } from './use.ts';
import { unbatched } from './window-arguments.ts';
import { axesFrom, flatPosition, lowest } from './windows.ts';

interface AdaptiveConstants {
  readonly average: boolean;
  readonly indices: boolean;
  /** The largest window of each dim, and the most windows that an element is in. */
  readonly largest: readonly number[];
  readonly most: readonly number[];
  readonly compute: DType;
}

/** Position `tap` of each of `into` windows over `from` elements: where, and whether the window has it. */
function tapAt(shape: readonly Dim[], tapAxis: number, windowAxis: number, from: Dim, into: Dim): { at: Prim; valid: Prim } {
  const [inside, windows] = [dimPrim(from, int64), dimPrim(into, int64)];
  const o = iota(shape, windowAxis);
  const t = iota(shape, tapAxis);
  const start = o.mul(inside).scalar('idiv', windows);
  const at = start.add(t);
  return { at, valid: at.lt(windowEnd(o, inside, windows)) };
}
const windowEnd = (o: Prim, inside: Prim, windows: Prim): Prim => o.add(1).mul(inside).add(windows).sub(1).scalar('idiv', windows);

/** x [N, C, *from] -> [N, C, *taps, *into] and whether each element belongs to its window. */
function gather(x: Prim, into: readonly Dim[], taps: readonly number[]): { values: Prim; valid: Prim; look: (p: Prim) => Prim } {
  const n = into.length;
  const shape = [...x.shape.slice(0, 2), ...taps, ...into];
  const all = into.map((size, i) => tapAt(shape, 2 + i, 2 + n + i, x.shape[2 + i], size));
  const coords = [iota(shape, 0), iota(shape, 1), ...all.map((a) => a.at)];
  const look = (p: Prim): Prim => p.lookup(coords);
  return { values: look(x), valid: all.map((a) => a.valid).reduce((a, b) => a.and(b)), look };
}

/** Elements of each window. */
function windowSizes(shape: readonly Dim[], spatial: readonly Dim[], compute: DType): Prim {
  return spatial
    .map((from, i) => {
      const [inside, windows] = [dimPrim(from, int64), dimPrim(shape[2 + i], int64)];
      const o = iota(shape, 2 + i);
      return windowEnd(o, inside, windows).sub(o.mul(inside).scalar('idiv', windows));
    })
    .reduce((a, b) => a.mul(b))
    .cast(compute);
}

const adaptiveOperator: Operator<AdaptiveConstants> = {
  name: 'adaptive_pool',
  body: ([x], { constants: c, dims: out }) => {
    const n = out.length;
    const spatial = x.shape.slice(2);
    const axes = axesFrom(2, n);
    const { values, valid } = gather(c.average ? x.cast(c.compute) : x, out, c.largest);
    const shape = [...x.shape.slice(0, 2), ...out];
    if (c.average)
      return [
        valid
          .where(values, 0)
          .sum(axes)
          .div(windowSizes(shape, spatial, c.compute))
          .cast(x.dtype),
      ];
    const candidates = valid.where(values, constant(lowest(x.dtype), x.dtype));
    const largest = candidates.reduce('max', axes);
    if (!c.indices) return [largest];
    let rest = candidates.reduce('argmax', axes);
    const taps: Prim[] = [];
    for (let i = n - 1; i >= 0; i--) {
      taps.unshift(i === 0 ? rest : rest.scalar('irem', c.largest[i]));
      if (i > 0) rest = rest.scalar('idiv', c.largest[i]);
    }
    const positions = taps.map((t, i) =>
      iota(shape, 2 + i)
        .mul(dimPrim(spatial[i], int64))
        .scalar('idiv', dimPrim(out[i], int64))
        .add(t),
    );
    return [largest, flatPosition(positions, spatial)];
  },
  gradient: ([g], [x], outputs, { constants: c }) => {
    if (g === null) return [null];
    const spatial = x.shape.slice(2);
    const axes = axesFrom(2, spatial.length);
    const d = g.cast(c.compute);
    if (c.average) {
      const { values, valid } = gather(d.div(windowSizes(g.shape, spatial, c.compute)), spatial, c.most);
      return [valid.where(values, 0).sum(axes).cast(x.dtype)];
    }
    const { values, valid, look } = gather(d, spatial, c.most);
    const own = flatPosition(
      spatial.map((_, i) => iota(values.shape, 2 + spatial.length + i)),
      spatial,
    );
    return [valid.and(look(outputs[1]).eq(own)).where(values, 0).sum(axes).cast(x.dtype)];
  },
};

/** Positions of the largest of `into` windows over `from` elements. */
function largestWindow(from: number, into: number): number {
  let most = 0;
  for (let o = 0; o < into; o++) most = Math.max(most, Math.ceil(((o + 1) * from) / into) - Math.floor((o * from) / into));
  return most;
}

type Optional = number | null | readonly (number | null)[];

function adaptiveOf(name: string, n: number, x: Tensor, size: Optional, average: boolean): Tensor[] {
  if (x.ndim !== n + 1 && x.ndim !== n + 2) {
    if (n === 1)
      throw new Error(
        `Expected 2 to 3 dimensions, but got ${x.ndim}-dimensional tensor for argument #1 'self' (while checking arguments for ${name})`,
      );
    throw new Error(`${name}(): Expected ${n + 1}D or ${n + 2}D tensor, but got${average ? '' : ':'} ${shapeList(x.view_.shape)}`);
  }
  const given =
    typeof size === 'number' || size === null
      ? Array<number | null>(n).fill(size)
      : size.length === 1
        ? Array<number | null>(n).fill(size[0])
        : size;
  if (given.length !== n) throw new Error(`${name}: output_size must be ${n}`);
  const spatial = x.view_.shape.slice(x.ndim - n);
  const out = given.map((d, i) => d ?? spatial[i]);
  if (out.some((d) => d < 0))
    throw new Error(`${name}: elements of output_size must be greater than or equal to 0 but received ${shapeList(out)}`);
  spatial.forEach((d, i) => {
    if (d === 0)
      throw new Error(
        `${name}(): Expected input to have non-zero size for non-batch dimensions, but input has sizes ${shapeList(x.view_.shape)} with dimension ${x.ndim - n + i} being empty`,
      );
  });
  if (!x.dtype.is_floating_point) throw new Error(`"${name}" not implemented for '${scalarTypeName(x.dtype)}'`);
  if (out.every((d, i) => d > 0 && spatial[i] % d === 0)) {
    const kernel = spatial.map((d, i) => d / out[i]);
    if (average) return [use(`${n === 1 ? '' : 'nn.functional.'}avg_pool${n}d`, x, kernel, kernel)];
    return use<Tensor[]>(`${n === 1 ? '' : 'nn.functional.'}max_pool${n}d_with_indices`, x, kernel, kernel);
  }
  if (x.ndim === n + 1) return unbatched(x, (batched) => adaptiveOf(name, n, batched, out, average));
  const compute = computationDtype(x.dtype);
  const largest = spatial.map((d, i) => largestWindow(d, out[i]));
  const most = spatial.map((d, i) => largestWindow(out[i], d));
  const constants = constantsOf(
    `adaptive:${average}:${largest}:${most}:${compute.name}`,
    (): AdaptiveConstants => ({ average, indices: !average, largest, most, compute }),
  );
  return record(adaptiveOperator as never, [x], { constants, dims: out });
}

const page = (name: string): string => `https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.${name}.html`;

function averages<const D extends 2 | 3>(n: D) {
  const name = `adaptive_avg_pool${n}d` as const;
  return declare(
    { doc: `Averages of as many windows as asked for. ${page(name)}`, as: 'function' },
    overload(
      `adaptive_avg_pool${n}d(Tensor self, int?[${n}] output_size) -> Tensor`,
      ((x: Tensor, size: Optional) => adaptiveOf(name, n, x, size, true)[0]) as never,
    ),
  );
}

function maxima<const D extends 1 | 2 | 3>(n: D) {
  const name = `adaptive_max_pool${n}d` as const;
  return declare(
    { doc: `Largest elements of as many windows as asked for. ${page(name)}`, as: 'function' },
    overload(
      `adaptive_max_pool${n}d(Tensor input, int?[${n}] output_size) -> Tensor`,
      ((x: Tensor, size: Optional) => adaptiveOf(name, n, x, size, false)[0]) as never,
    ),
    overload(
      `adaptive_max_pool${n}d.return_indices(Tensor input, int?[${n}] output_size, bool return_indices=False) -> (Tensor, Tensor)`,
      ((x: Tensor, size: Optional, indices: boolean) => {
        const out = adaptiveOf(name, n, x, size, false);
        return indices ? out : out[0];
      }) as never,
    ),
  );
}

function maximaWithIndices<const D extends 1 | 2 | 3>(n: D, name: string) {
  return declare(
    { doc: `Largest elements of as many windows as asked for, and their flat indices. ${page(`adaptive_max_pool${n}d`)}`, as: 'function' },
    overload(`adaptive_max_pool${n}d(Tensor self, int?[${n}] output_size) -> (Tensor, Tensor)`, ((x: Tensor, size: Optional) =>
      adaptiveOf(name, n, x, size, false)) as never),
  );
}

/** In `torch`; `adaptive_max_pool1d` gives indices there, unlike its namesake in `nn.functional`. */
export const torchAdaptivePooling = {
  adaptive_avg_pool1d: declare(
    { doc: `Averages of as many windows as asked for. ${page('adaptive_avg_pool1d')}`, as: 'function', functional: true },
    overload(
      'adaptive_avg_pool1d(Tensor self, int?[1] output_size) -> Tensor',
      (x, size) => adaptiveOf('adaptive_avg_pool1d', 1, x, size, true)[0],
    ),
  ),
  adaptive_max_pool1d: maximaWithIndices(1, 'adaptive_max_pool1d'),
};

export const adaptivePooling = {
  adaptive_avg_pool2d: averages(2),
  adaptive_avg_pool3d: averages(3),
  adaptive_max_pool1d: maxima(1),
  adaptive_max_pool2d: maxima(2),
  adaptive_max_pool3d: maxima(3),
  adaptive_max_pool1d_with_indices: maximaWithIndices(1, 'adaptive_max_pool1d'),
  adaptive_max_pool2d_with_indices: maximaWithIndices(2, 'adaptive_max_pool2d'),
  adaptive_max_pool3d_with_indices: maximaWithIndices(3, 'adaptive_max_pool3d'),
};
