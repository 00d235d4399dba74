/**
 * Equal primitives become one: what a backward recomputes of its forward, and what two calls compute alike, is computed and stored once.
 *
 * A value's number is its operation, attributes and the numbers of its sources. Library calls are never equal (they may draw random numbers).
 * No bit changes: equal primitives have equal results.
 */
import type { Value } from '../graph/node.ts';
import { Prim, type PrimBody } from '../graph/prim.ts';
import { topological } from '../graph/vjp.ts';
import type { Dim } from '../shape/dim.ts';
import * as dims from '../shape/dim.ts';
import { narrowOperands, narrowResult } from './narrow-products.ts';
import type { TracedProgram, TracedValue } from './program.ts';

const keys = (list: readonly Dim[]): string => list.map(dims.keyOf).join(',');

/** What a prim does beside its sources; null for what stands only for itself. */
function attributes(body: PrimBody): string | null {
  switch (body.op) {
    case 'input':
    case 'library':
      return null;
    case 'const':
      return `${typeof body.value}${Object.is(body.value, -0) ? '-0' : body.value}`;
    case 'param':
      return `${body.slot}`;
    case 'dim':
      return dims.keyOf(body.dim);
    case 'iota':
      return `${body.axis}`;
    case 'scalar':
      return body.fn;
    case 'view':
    case 'store':
      return `${keys(body.strides)};${dims.keyOf(body.offset)}`;
    case 'pad':
      return `${keys(body.starts)};${body.steps}`;
    case 'reduce':
      return `${body.kind};${body.axes}`;
    case 'scatter':
      return `${body.combine}`;
    case 'cat':
      return `${body.axis}`;
    case 'result':
      return `${body.index}`;
    case 'part':
      return body.part;
    case 'dot':
      return body.blocks === undefined ? '' : `${body.blocks.format};${body.blocks.transposed}`;
    case 'cast':
    case 'bitcast':
    case 'lookup':
    case 'complex':
    case 'after':
      return '';
    default:
      return body satisfies never;
  }
}

/** The program with each computation once. */
export function shareEqual(traced: TracedProgram, outputs: readonly Value[]): TracedProgram {
  const byKey = new Map<string, Prim>();
  const shared = new Map<Prim, Prim>();
  const places = new Map<Prim, string>();
  const results = outputs.map((v) => traced.values.get(v)!.prim);
  const order = topological(results);
  const uses = new Map<Prim, number>();
  for (const p of [...results, ...order.flatMap((p) => p.srcs)]) uses.set(p, (uses.get(p) ?? 0) + 1);
  const usedOnce = (p: Prim): boolean => uses.get(p) === 1;
  for (const p of order) {
    const narrow = narrowResult(p, usedOnce, (src) => shared.get(src)!);
    if (narrow !== null) {
      shared.set(p, narrow);
      const at = traced.places.get(p);
      if (at !== undefined) places.set(narrow, at);
      continue;
    }
    const mapped = p.srcs.map((s) => shared.get(s)!);
    const srcs = p.body.op === 'dot' ? narrowOperands(mapped) : mapped;
    const own = attributes(p.body);
    const key = own === null ? `#${p.id}` : `${p.body.op}:${own}:${srcs.map((s) => s.id)}:${keys(p.shape)}:${p.dtype.id}`;
    let one = byKey.get(key);
    if (one === undefined) {
      const same = srcs.every((s, i) => s === p.srcs[i]);
      one = same ? p : new Prim({ ...p.body, srcs } as PrimBody, p.shape, p.dtype);
      byKey.set(key, one);
    }
    shared.set(p, one);
    const place = traced.places.get(p);
    if (place !== undefined && !places.has(one)) places.set(one, place);
  }
  const values = new Map<Value, TracedValue>();
  for (const v of outputs) {
    const made = traced.values.get(v)!;
    values.set(v, { ...made, prim: shared.get(made.prim)! });
  }
  return { values, externals: traced.externals, places };
}
