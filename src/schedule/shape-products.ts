/**
 * Products that are only read turned are computed turned: (A B)' = B' A'.
 *
 * The gradient of a weight that a layer multiplies by its transpose is such a product: as it stands, it would be written out and then copied across,
 * which costs more than its own memory is worth (columns of a matrix lie a page apart). Turned, the operands are read through other
 * strides and nothing is copied. Each element is the same sum of the same products in the same order, so no bit changes.
 */
import type { Value } from '../graph/node.ts';
import { Prim, type PrimBody, rowMajor } from '../graph/prim.ts';
import { topological } from '../graph/vjp.ts';
import * as dims from '../shape/dim.ts';
import type { TracedProgram, TracedValue } from './program.ts';

/** True where `p` is its source with the last two dims swapped. */
function isTurned(p: Prim): boolean {
  if (p.body.op !== 'view') return false;
  const [src] = p.body.srcs;
  const n = src.ndim;
  if (p.ndim !== n || n < 2 || dims.keyOf(p.body.offset) !== '0') return false;
  const source = rowMajor(src.shape);
  const from = (i: number): number => (i === n - 1 ? n - 2 : i === n - 2 ? n - 1 : i);
  const { strides } = p.body;
  return p.shape.every((d, i) => dims.equal(d, src.shape[from(i)]) && (d === 1 || dims.equal(strides[i], source[from(i)])));
}

/** The program with each product that has no reader but its transposes, and is not itself a result, computed as that transpose. */
export function shapeProducts(traced: TracedProgram, outputs: readonly Value[]): TracedProgram {
  const results = outputs.map((v) => traced.values.get(v)!.prim);
  const order = topological(results);
  const straight = new Set<Prim>(results);
  const turned = new Set<Prim>();
  for (const p of order) {
    if (isTurned(p)) turned.add(p.srcs[0]);
    else for (const s of p.srcs) straight.add(s);
  }
  const turns = (p: Prim): boolean => p.body.op === 'dot' && p.body.blocks === undefined && turned.has(p) && !straight.has(p);
  if (!order.some(turns)) return traced;
  const now = new Map<Prim, Prim>();
  const places = new Map<Prim, string>();
  for (const p of order) {
    const srcs = p.srcs.map((s) => now.get(s)!);
    let made: Prim;
    if (turns(p)) {
      const [left, right] = [srcs[1].mT, srcs[0].mT];
      const shape = [...left.shape.slice(0, -1), right.shape[right.ndim - 1]];
      made = new Prim({ op: 'dot', srcs: [left, right] }, shape, p.dtype);
    } else if (isTurned(p) && turns(p.srcs[0])) made = srcs[0];
    else made = srcs.every((s, i) => s === p.srcs[i]) ? p : new Prim({ ...p.body, srcs } as PrimBody, p.shape, p.dtype);
    now.set(p, made);
    const place = traced.places.get(p);
    if (place !== undefined && !places.has(made)) places.set(made, place);
  }
  const values = new Map<Value, TracedValue>();
  for (const v of outputs) {
    const of = traced.values.get(v)!;
    values.set(v, { ...of, prim: now.get(of.prim)! });
  }
  return { values, externals: traced.externals, places };
}
