/**
 * Complex primitives become pairs of real ones, before fusion: nothing below knows complex numbers.
 *
 * A complex prim is a real part and an imaginary part. What lies in memory as a whole (inputs, results of stores, joins and library
 * functions, and windows of these) is also known `packed`: a real prim whose row-major order is re, im, re, im, ..., of which the parts are
 * views with doubled strides. Results of the program are packed, so their memory is what PyTorch's is; a value that was computed in parts is
 * packed by a join of the two. Reading complex memory as real numbers (`view_as_real`, `x.real`) and back is a `bitcast` of the flat memory;
 * a window that takes only real or only imaginary parts of a value in parts reads that part and packs nothing.
 */

import { complexFormulas, modulus, multiply, type Pair } from '../graph/complex-math.ts';
import type { Value } from '../graph/node.ts';
import { cat, constant, input, Prim, type PrimBody, param, rowMajor } from '../graph/prim.ts';
import { topological } from '../graph/vjp.ts';
import type { Dim } from '../shape/dim.ts';
import * as dims from '../shape/dim.ts';
import type { TracedProgram, TracedValue } from './program.ts';

interface Parts extends Pair {
  readonly packed: Prim | null;
}

const double = (d: Dim): Dim => dims.mul(d, 2);
const doubled = (strides: readonly Dim[]): Dim[] => [...strides.map(double), 1];

/** The program over real primitives; itself where it has no complex ones. */
export function lowerComplex(traced: TracedProgram, outputs: readonly Value[]): TracedProgram {
  const order = topological(outputs.map((v) => traced.values.get(v)!.prim));
  if (!order.some((p) => p.dtype.is_complex) && ![...traced.externals.keys()].some((v) => v.dtype.is_complex)) return traced;
  const lowering = new Lowering(traced.places);
  for (const p of order) lowering.lower(p);
  const values = new Map<Value, TracedValue>();
  for (const v of outputs) {
    const made = traced.values.get(v)!;
    const prim = made.prim.dtype.is_complex ? lowering.packed(made.prim) : lowering.real(made.prim);
    values.set(
      v,
      made.prim.dtype.is_complex ? { ...made, prim, shape: [...made.shape, 2], strides: doubled(made.strides) } : { ...made, prim },
    );
  }
  const externals = new Map<Value, Prim>();
  for (const [v, p] of traced.externals) externals.set(v, p.dtype.is_complex ? lowering.memory(p) : p);
  return { values, externals, places: lowering.places };
}

class Lowering {
  readonly places: Map<Prim, string>;
  readonly #reals = new Map<Prim, Prim>();
  readonly #parts = new Map<Prim, Parts>();
  readonly #packed = new Map<Prim, Prim>();
  readonly #results = new Map<Prim, Map<number, Prim>>();

  constructor(places: ReadonlyMap<Prim, string>) {
    this.places = new Map(places);
  }

  /** Sources come before what uses them. */
  lower(p: Prim): void {
    const place = this.places.get(p);
    if (p.dtype.is_complex && p.body.op !== 'library') {
      if (this.#parts.has(p)) return;
      const parts = this.#complex(p);
      this.#parts.set(p, parts);
      if (place !== undefined) for (const made of [parts.re, parts.im, parts.packed]) if (made !== null) this.places.set(made, place);
      return;
    }
    const made = p.body.op === 'library' ? this.#library(p) : this.#real(p);
    this.#reals.set(p, made);
    if (place !== undefined && made !== p) this.places.set(made, place);
  }

  real(p: Prim): Prim {
    const made = this.#reals.get(p);
    if (made === undefined) throw new Error(`internal: ${p.body.op} was not lowered before its use`);
    return made;
  }

  parts(p: Prim): Parts {
    const made = this.#parts.get(p);
    if (made === undefined) throw new Error(`internal: ${p.body.op} was not lowered to a pair before its use`);
    return made;
  }

  /** [...shape, 2] */
  packed(p: Prim): Prim {
    let made = this.#packed.get(p);
    if (made === undefined) {
      const { re, im, packed } = this.parts(p);
      const last = re.ndim;
      made = packed === null ? cat([re.unsqueeze(last), im.unsqueeze(last)], last) : packed.reshape([...p.shape, 2]);
      this.#packed.set(p, made);
      const place = this.places.get(p);
      if (place !== undefined) this.places.set(made, place);
    }
    return made;
  }

  /** The real input that stands for a complex one. */
  memory(p: Prim): Prim {
    if (!this.#parts.has(p)) this.lower(p);
    return this.parts(p).packed!;
  }

  #split(packed: Prim, shape: readonly Dim[]): Parts {
    const strides = rowMajor(shape).map(double);
    return { re: packed.view(shape, strides, 0), im: packed.view(shape, strides, 1), packed };
  }

  /** A real prim that is there when `p` is. */
  #either(p: Prim): Prim {
    return p.dtype.is_complex ? this.parts(p).re : this.real(p);
  }

  #both(p: Prim, make: (part: Prim) => Prim): Parts {
    const { re, im } = this.parts(p);
    return { re: make(re), im: make(im), packed: null };
  }

  // ---- real results

  #real(p: Prim): Prim {
    const body = p.body;
    switch (body.op) {
      case 'part':
        return this.parts(body.srcs[0])[body.part === 'real' ? 're' : 'im'];
      case 'cast': {
        const src = body.srcs[0];
        if (!src.dtype.is_complex) break;
        const { re, im } = this.parts(src);
        return p.dtype.kind === 'bool' ? re.ne(0).or(im.ne(0)) : re.cast(p.dtype);
      }
      case 'bitcast': {
        const src = body.srcs[0];
        if (!src.dtype.is_complex) break;
        const flat = this.parts(src).packed ?? this.packed(src);
        if (flat.dtype.itemsize !== p.dtype.itemsize) throw new Error(`internal: a window of ${src.dtype} memory as ${p.dtype}`);
        const row = flat.ndim === 1 ? flat : flat.reshape([dims.productOf(flat.shape)]);
        return p.dtype === flat.dtype ? row : row.bitcast(p.dtype);
      }
      case 'view': {
        const src = body.srcs[0];
        if (src.body.op !== 'bitcast' || src.dtype !== src.body.srcs[0].dtype.real || !src.body.srcs[0].dtype.is_complex) break;
        const parts = this.parts(src.body.srcs[0]);
        const part = parts.packed === null ? partWindow(parts, p.shape, body.strides, body.offset) : null;
        if (part !== null) return part;
        break;
      }
      case 'scalar': {
        const [a, b] = body.srcs;
        if (!a.dtype.is_complex) break;
        if (body.fn === 'abs') return modulus(this.parts(a));
        const x = this.parts(a);
        const y = this.parts(b);
        if (body.fn === 'eq') return x.re.eq(y.re).and(x.im.eq(y.im));
        if (body.fn === 'ne') return x.re.ne(y.re).or(x.im.ne(y.im));
        throw new Error(`internal: ${body.fn} of complex numbers`);
      }
      case 'result':
        return this.#result(p);
      case 'after':
        return this.real(body.srcs[0]).after(this.#either(body.srcs[1]));
      default:
        break;
    }
    if (p.srcs.every((s) => this.real(s) === s)) return p;
    return new Prim({ ...body, srcs: p.srcs.map((s) => this.real(s)) } as PrimBody, p.shape, p.dtype);
  }

  /** The call over real arrays; its types stay those that the function knows. */
  #library(p: Prim): Prim {
    if (p.body.op !== 'library') throw new Error('internal: not a library call');
    const srcs = p.body.srcs.map((s) => (s.dtype.is_complex ? this.packed(s) : this.real(s)));
    if (srcs.every((s, i) => s === p.srcs[i]) && !p.body.outs.some((t) => t.dtype.is_complex)) return p;
    return new Prim({ ...p.body, srcs }, p.shape, p.dtype.real);
  }

  #result(p: Prim): Prim {
    if (p.body.op !== 'result') throw new Error('internal: not a result');
    const call = this.real(p.srcs[0]);
    if (call === p.srcs[0]) return p;
    let results = this.#results.get(call);
    if (results === undefined) {
      results = new Map();
      this.#results.set(call, results);
    }
    let made = results.get(p.body.index);
    if (made === undefined) {
      made = new Prim({ op: 'result', srcs: [call], index: p.body.index }, p.dtype.is_complex ? [...p.shape, 2] : p.shape, p.dtype.real);
      results.set(p.body.index, made);
    }
    return made;
  }

  // ---- complex results

  #complex(p: Prim): Parts {
    const body = p.body;
    const real = p.dtype.real;
    const alone = (re: Prim): Parts => ({ re, im: constant(0, real).expand(p.shape), packed: null });
    switch (body.op) {
      case 'input': {
        const size = dims.productOf(p.shape);
        return this.#split(input(body.slot, [double(size)], real), [size]);
      }
      case 'const':
        return alone(constant(body.value, real));
      case 'param':
        return alone(param(body.slot, real));
      case 'dim':
        return alone(new Prim(body, p.shape, real));
      case 'complex':
        return { re: this.real(body.srcs[0]), im: this.real(body.srcs[1]), packed: null };
      case 'cast': {
        const src = body.srcs[0];
        if (src.dtype.is_complex) return this.#both(src, (part) => part.cast(real));
        return alone(this.real(src).cast(real));
      }
      case 'bitcast': {
        const src = this.real(body.srcs[0]);
        const memory = src.dtype === real ? src : src.bitcast(real);
        if (src.dtype.itemsize !== real.itemsize) throw new Error(`internal: a window of ${src.dtype} memory as ${p.dtype}`);
        return this.#split(memory, p.shape);
      }
      case 'scalar': {
        if (body.fn === 'select') {
          const condition = this.real(body.srcs[0]);
          const yes = this.parts(body.srcs[1]);
          const no = this.parts(body.srcs[2]);
          return { re: condition.where(yes.re, no.re), im: condition.where(yes.im, no.im), packed: null };
        }
        const formula = complexFormulas[body.fn];
        if (formula === undefined) throw new Error(`internal: ${body.fn} of complex numbers`);
        const made = formula(...body.srcs.map((s) => this.parts(s)));
        return { re: made.re.expand(p.shape), im: made.im.expand(p.shape), packed: null };
      }
      case 'view': {
        const { re, im, packed } = this.parts(body.srcs[0]);
        return {
          re: re.view(p.shape, body.strides, body.offset),
          im: im.view(p.shape, body.strides, body.offset),
          packed: packed?.view([...p.shape, 2], doubled(body.strides), double(body.offset)) ?? null,
        };
      }
      case 'after':
        return this.#both(body.srcs[0], (part) => part.after(this.#either(body.srcs[1])));
      case 'pad':
        return this.#both(body.srcs[0], (part) => part.pad(p.shape, body.starts, body.steps));
      case 'reduce': {
        const src = body.srcs[0];
        if (body.kind === 'sum') return this.#both(src, (part) => part.sum(body.axes));
        if (body.kind === 'prod') return { ...product(this.parts(src), src.shape, body.axes, p.shape), packed: null };
        throw new Error(`internal: ${body.kind} over complex numbers`);
      }
      case 'dot': {
        const a = this.parts(body.srcs[0]);
        const b = this.parts(body.srcs[1]);
        return { re: a.re.dot(b.re).sub(a.im.dot(b.im)), im: a.re.dot(b.im).add(a.im.dot(b.re)), packed: null };
      }
      case 'lookup': {
        const [src, ...coords] = body.srcs;
        const at = coords.map((c) => this.real(c));
        return this.#both(src, (part) => part.lookup(at));
      }
      case 'scatter': {
        const [base, value, ...coords] = body.srcs;
        if (body.combine === 'max' || body.combine === 'min') throw new Error(`internal: scatter with ${body.combine} of complex numbers`);
        const to = this.parts(base);
        const from = this.parts(value);
        const at = coords.map((c) => this.real(c));
        return { re: to.re.scatter(from.re, at, body.combine), im: to.im.scatter(from.im, at, body.combine), packed: null };
      }
      case 'store': {
        const [base, value] = body.srcs;
        const stored = this.packed(base).store(this.packed(value), doubled(body.strides), double(body.offset));
        return this.#split(stored, p.shape);
      }
      case 'cat': {
        const parts = body.srcs.map((s) => this.parts(s));
        if (parts.every((x) => x.packed !== null))
          return this.#split(
            cat(
              body.srcs.map((s) => this.packed(s)),
              body.axis,
            ),
            p.shape,
          );
        return {
          re: cat(
            parts.map((x) => x.re),
            body.axis,
          ),
          im: cat(
            parts.map((x) => x.im),
            body.axis,
          ),
          packed: null,
        };
      }
      case 'result':
        return this.#split(this.#result(p), p.shape);
      case 'iota':
      case 'part':
      case 'library':
        throw new Error(`internal: ${body.op} is never complex`);
      default:
        return body satisfies never;
    }
  }
}

/** A window over packed memory that takes only real or only imaginary parts, as a window of that part; else null. */
function partWindow(parts: Parts, shape: readonly Dim[], strides: readonly Dim[], offset: Dim): Prim | null {
  const halves: Dim[] = [];
  for (const [i, s] of strides.entries()) {
    const half = shape[i] === 1 ? 0 : dims.exactQuotient(s, 2);
    if (half === null) return null;
    halves.push(half);
  }
  const even = dims.exactQuotient(offset, 2);
  if (even !== null) return parts.re.view(shape, halves, even);
  const odd = dims.exactQuotient(dims.sub(offset, 1), 2);
  return odd === null ? null : parts.im.view(shape, halves, odd);
}

/** Product over axes by halving: the first half times the second, and what is left over at the end. */
function product(z: Pair, shape: readonly Dim[], axes: readonly number[], result: readonly Dim[]): Pair {
  const kept = [...shape.keys()].filter((i) => !axes.includes(i));
  const last = result.length;
  const size = dims.toNumber(dims.productOf(axes.map((a) => shape[a])), 'the extent of a complex product');
  if (size === 0) return { re: constant(1, z.re.dtype).expand(result), im: constant(0, z.re.dtype).expand(result) };
  const arrange = (p: Prim): Prim => p.permute([...kept, ...axes]).reshape([...result, size]);
  const slice = (x: Pair, start: number, length: number): Pair => ({
    re: x.re.slice(last, start, length),
    im: x.im.slice(last, start, length),
  });
  let rest: Pair = { re: arrange(z.re), im: arrange(z.im) };
  let odd: Pair | null = null;
  for (let n = size; n > 1; n = Math.floor(n / 2)) {
    const half = Math.floor(n / 2);
    if (n % 2 === 1) {
      const left = slice(rest, n - 1, 1);
      odd = odd === null ? left : multiply(odd, left);
    }
    rest = multiply(slice(rest, 0, half), slice(rest, half, half));
  }
  const all = odd === null ? rest : multiply(rest, odd);
  return { re: all.re.reshape(result), im: all.im.reshape(result) };
}
