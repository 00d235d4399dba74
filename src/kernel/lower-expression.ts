/**
 * Lowering of expressions: data to vector registers, indices to general registers where they are uniform and to lanes where not.
 *
 * Addresses are affine first: constant + coefficient * axis + atoms. The terms of each scope are added to the address of the scope
 * outside it, once; what remains in the innermost loop is one base, one counter and a displacement. Stride 1 on the lane axis is a
 * contiguous access, stride 0 a broadcast, any other constant a gather with constant lane offsets; an atom that varies (a quotient, a
 * loaded index) gives per-lane indices.
 */
import { linearize } from './expression.ts';
import type { BufferDeclaration, Expr, LoadExpr, ReduceExpr } from './ir.ts';
import type { Scope } from './lower-scope.ts';
import { Emitter } from './lower-scope.ts';
import type { ComputeType } from './scalar.ts';
import { castReference } from './scalar-reference.ts';
import type { Address, ElementName, IndexOp, IndexOperand, Lanes, Register, RegisterType } from './vector-ir.ts';
import { elementSizes, elementTypes, registerType } from './vector-ir.ts';

/** Where an access goes: one element, P consecutive ones, or one per lane. */
export type Place =
  | { readonly kind: 'one'; readonly address: Address }
  | { readonly kind: 'row'; readonly address: Address }
  | { readonly kind: 'lanes'; readonly base: Register; readonly displacement: number; readonly indices: Register };

/** Places a reduction's result (and those of reductions that share its loop) into `home`. */
export type ReduceLowering = (e: ReduceExpr, home: Scope) => void;

const displacementLimit = 2 ** 30;

export class ExpressionLowering extends Emitter {
  readonly buffers: readonly BufferDeclaration[];
  readonly lanes: Lanes;
  readonly laneIndexType: 'i32' | 'i64';
  readonly #reduce: ReduceLowering;
  readonly #ids = new Map<Expr, number>();
  /** Reductions whose loops are being built: they must not be pulled into another loop. */
  readonly inProgress = new Set<ReduceExpr>();

  constructor(buffers: readonly BufferDeclaration[], lanes: Lanes, laneIndexType: 'i32' | 'i64', reduce: ReduceLowering) {
    super();
    this.buffers = buffers;
    this.lanes = lanes;
    this.laneIndexType = laneIndexType;
    this.#reduce = reduce;
  }

  element(buffer: number): ElementName {
    const dtype = this.buffers[buffer].dtype.real;
    return dtype.name as ElementName;
  }

  #named(scope: Scope, key: string, make: () => Register): Register {
    let found = scope.named.get(key);
    if (found === undefined) {
      found = make();
      scope.named.set(key, found);
    }
    return found;
  }

  /** Numbers expressions: their own ids are unique within one builder only. */
  #idOf(e: Expr): number {
    let id = this.#ids.get(e);
    if (id === undefined) {
      id = this.#ids.size;
      this.#ids.set(e, id);
    }
    return id;
  }

  // ---------------------------------------------------------------------------------------------------- data values

  /** The value of an expression of a data type, in a vector register (all lanes equal where it does not depend on the lane axis). */
  value(e: Expr, from: Scope): Register {
    const scope = from.home(e);
    let found = scope.values.get(e);
    if (found === undefined) {
      found = this.#newValue(e, scope);
      scope.values.set(e, found);
    }
    return found;
  }

  #newValue(e: Expr, scope: Scope): Register {
    const type = registerType(e.type);
    if (type === 'index') throw new Error('internal: an index is no data value');
    const unary = (kind: 'cast' | 'bitcast', src: Register): Register => {
      const dst = this.register(type);
      scope.code.push({ kind, dst, src });
      return dst;
    };
    switch (e.op) {
      case 'const':
        return this.sharedConstant(scope, type, e.value);
      case 'param': {
        const dst = this.register(type);
        scope.code.push({ kind: 'param', dst, slot: e.slot });
        return dst;
      }
      case 'axis':
        throw new Error('internal: an axis is no data value');
      case 'load': {
        const natural = elementTypes[this.element(e.buffer)];
        const loaded = this.load(e, natural, scope);
        return natural === type ? loaded : unary('cast', loaded);
      }
      case 'scalar': {
        const operandType = e.args[e.args.length - 1].type;
        if (operandType === 'index') return this.#compareIndices(e, scope);
        return this.vector(scope, e.fn, type, ...e.args.map((a) => this.value(a, scope)));
      }
      case 'cast':
        if (e.arg.type === 'index' && e.arg.op === 'const')
          return this.sharedConstant(scope, type, castReference('index', e.type)(e.arg.value));
        if (e.arg.type === 'index') return this.#fromIndex(e.arg, type, scope);
        return unary('cast', this.value(e.arg, scope));
      case 'bitcast':
        return unary('bitcast', this.value(e.arg, scope));
      case 'round': {
        const src = this.value(e.arg, scope);
        const dst = this.register(type);
        scope.code.push({ kind: 'round', dst, src, dtype: e.dtype.name as ElementName });
        return dst;
      }
      case 'reduce': {
        this.#reduce(e, scope);
        const result = scope.values.get(e);
        if (result === undefined) throw new Error('internal: reduction without a result');
        return result;
      }
      default:
        return e satisfies never;
    }
  }

  /** Index to data. Indices are below 2^31 where they vary across lanes of i32. */
  #fromIndex(arg: Expr, type: RegisterType, scope: Scope): Register {
    const wide = type === 'i64' || type === 'f64';
    let src: Register;
    if (scope.varies(arg)) src = this.laneIndex(arg, scope);
    else {
      src = this.register(type === 'mask' ? 'mask' : wide ? 'i64' : 'i32');
      const operand = this.toRegister(scope, this.index(arg, scope));
      scope.code.push({ kind: 'splat', dst: src, src: operand });
    }
    if (src.type === type) return src;
    const dst = this.register(type);
    scope.code.push({ kind: 'cast', dst, src });
    return dst;
  }

  #compareIndices(e: Expr & { op: 'scalar' }, scope: Scope): Register {
    if (!scope.varies(e)) {
      const src = this.toRegister(scope, this.index(e, scope));
      const dst = this.register('mask');
      scope.code.push({ kind: 'splat', dst, src });
      return dst;
    }
    return this.vector(scope, e.fn, 'mask', ...e.args.map((a) => this.laneIndex(a, scope)));
  }

  /** A load as a register of `type` (the buffer's own, or i32 for the low half of int64). */
  load(e: LoadExpr, type: RegisterType, scope: Scope): Register {
    const dtype = this.element(e.buffer);
    const dst = this.register(type);
    if (!scope.varies(e)) {
      if (e.mask === null) {
        scope.code.push({ kind: 'broadcast', dst, dtype, address: this.#one(e, scope) });
        return dst;
      }
      const condition = this.index(e.mask, scope);
      const address = this.#one(e, scope);
      const loaded = this.register(type);
      scope.code.push(
        { kind: 'splat-const', dst, value: type === 'mask' ? false : type === 'i64' ? 0n : 0 },
        {
          kind: 'if',
          op: 'ne',
          a: condition,
          b: 0,
          then: [
            { kind: 'broadcast', dst: loaded, dtype, address },
            { kind: 'assign', dst, src: loaded },
          ],
          else: [],
        },
      );
      return dst;
    }
    const place = this.place(e.buffer, e.index, scope);
    const mask = e.mask === null ? null : this.value(e.mask, scope);
    if (place.kind === 'row') {
      const combined = mask === null ? null : this.activeMask(scope, mask);
      scope.code.push({ kind: 'load', dst, dtype, address: place.address, count: mask === null ? scope.count : null, mask: combined });
    } else {
      const indices = place.kind === 'lanes' ? place : this.#sameIndices(place.address, scope);
      scope.code.push({
        kind: 'gather',
        dst,
        dtype,
        base: indices.base,
        displacement: indices.displacement,
        indices: indices.indices,
        mask: this.activeMask(scope, mask),
      });
    }
    return dst;
  }

  /** One element under a mask that varies: every lane has index 0 from its address. */
  #sameIndices(address: Address, scope: Scope): Place & { kind: 'lanes' } {
    const base = this.register('index');
    scope.code.push({ kind: 'address', dst: base, address });
    return { kind: 'lanes', base, displacement: 0, indices: this.sharedConstant(scope, this.laneIndexType, this.#laneConstant(0)) };
  }
  #laneConstant(value: number): number | bigint {
    return this.laneIndexType === 'i64' ? BigInt(value) : value;
  }

  #one(e: LoadExpr, scope: Scope): Address {
    const place = this.place(e.buffer, e.index, scope);
    if (place.kind !== 'one') throw new Error('internal: a uniform load has a lane address');
    return place.address;
  }

  /** A mask together with the active lanes of the scope; null where everything is on. */
  activeMask(scope: Scope, mask: Register | null): Register | null {
    const count = scope.count;
    if (count === null) return mask;
    // one mask for the whole body over the lane axis, inner loops included
    let home = scope;
    while (home.parent !== null && scope.laneAxis !== null && !home.bindings.has(scope.laneAxis)) home = home.parent;
    const active = this.#named(home, 'active lanes', () => {
      const dst = this.register('mask');
      home.code.push({ kind: 'lane-mask', dst, count });
      return dst;
    });
    return mask === null ? active : this.vector(scope, 'and', 'mask', mask, active);
  }

  // ------------------------------------------------------------------------------------------------------- indices

  /** A uniform index (or bool, as 0 or 1) in a general register. */
  index(e: Expr, from: Scope): IndexOperand {
    if (e.op === 'const') return typeof e.value === 'boolean' ? (e.value ? 1 : 0) : Number(e.value);
    const scope = from.home(e);
    let found = scope.indices.get(e);
    if (found === undefined) {
      found = this.#newIndex(e, scope);
      scope.indices.set(e, found);
    }
    return found;
  }

  #newIndex(e: Expr, scope: Scope): IndexOperand {
    if (e.type !== 'index' && !(e.type === 'bool' && this.#isIndexCondition(e))) return this.#extract(this.value(e, scope), scope);
    switch (e.op) {
      case 'param': {
        const dst = this.register('index');
        scope.code.push({ kind: 'param', dst, slot: e.slot });
        return dst;
      }
      case 'axis': {
        const binding = scope.lookup(e.axis);
        if (binding.lanes) throw new Error('internal: the lane axis is not uniform');
        return this.indexOp(scope, 'add', binding.counter, binding.offset);
      }
      case 'load':
        return this.#loadIndex(e, scope);
      case 'cast':
        if (e.arg.op === 'load' && e.arg.type !== 'f32' && e.arg.type !== 'f64') return this.#loadIndex(e.arg, scope);
        return this.index(e.arg, scope);
      case 'scalar': {
        const args = e.args.map((a) => this.index(a, scope));
        switch (e.fn) {
          case 'neg':
            return this.indexOp(scope, 'sub', 0, args[0]);
          case 'abs':
            return this.indexOp(scope, 'max', args[0], this.indexOp(scope, 'sub', 0, args[0]));
          case 'not':
            return this.indexOp(scope, 'xor', args[0], 1);
          case 'add':
          case 'sub':
          case 'mul':
          case 'idiv':
          case 'irem':
          case 'min':
          case 'max':
          case 'lt':
          case 'le':
          case 'eq':
          case 'ne':
          case 'and':
          case 'or':
          case 'xor':
          case 'select':
            return this.indexOp(scope, e.fn satisfies IndexOp, ...args);
          default:
            throw new Error(`internal: ${e.fn} on an index`);
        }
      }
      case 'reduce': {
        this.#reduce(e, scope);
        const result = scope.indices.get(e);
        if (result === undefined) throw new Error('internal: reduction without a result');
        return result;
      }
      default:
        throw new Error(`internal: ${e.op} is no index`);
    }
  }

  #isIndexCondition(e: Expr): boolean {
    if (e.op !== 'scalar') return false;
    const last = e.args[e.args.length - 1];
    return last.type === 'index' || e.args.every((a) => a.type === 'bool' && (a.op === 'const' || this.#isIndexCondition(a)));
  }
  #extract(src: Register, scope: Scope): IndexOperand {
    const dst = this.register('index');
    scope.code.push({ kind: 'extract', dst, src });
    return dst;
  }
  #loadIndex(e: LoadExpr, scope: Scope): IndexOperand {
    const dtype = this.element(e.buffer);
    const dst = this.register('index');
    if (e.mask === null) {
      scope.code.push({ kind: 'load-index', dst, dtype, address: this.#one(e, scope) });
      return dst;
    }
    const condition = this.index(e.mask, scope);
    const address = this.#one(e, scope);
    const loaded = this.register('index');
    scope.code.push(
      { kind: 'index-const', dst, value: 0 },
      {
        kind: 'if',
        op: 'ne',
        a: condition,
        b: 0,
        then: [
          { kind: 'load-index', dst: loaded, dtype, address },
          { kind: 'assign', dst, src: loaded },
        ],
        else: [],
      },
    );
    return dst;
  }

  /** An index per lane. */
  laneIndex(e: Expr, from: Scope): Register {
    const scope = from.home(e);
    let found = scope.laneIndices.get(e);
    if (found === undefined) {
      found = this.#newLaneIndex(e, scope);
      scope.laneIndices.set(e, found);
    }
    return found;
  }

  #newLaneIndex(e: Expr, scope: Scope): Register {
    const type = this.laneIndexType;
    if (e.op === 'const') return this.sharedConstant(scope, type, this.#laneConstant(Number(e.value)));
    if (!scope.varies(e)) {
      const src = this.toRegister(scope, this.index(e, scope));
      const dst = this.register(type);
      scope.code.push({ kind: 'splat', dst, src });
      return dst;
    }
    const convert = (src: Register): Register => {
      if (src.type === type) return src;
      const dst = this.register(type);
      scope.code.push({ kind: 'cast', dst, src });
      return dst;
    };
    switch (e.op) {
      case 'axis': {
        const binding = scope.lookup(e.axis);
        const dst = this.register(type);
        const src = this.indexOp(scope, 'add', binding.counter, binding.offset);
        scope.code.push({ kind: 'iota', dst, src });
        return dst;
      }
      case 'load':
        return convert(this.load(e, this.element(e.buffer) === 'int64' ? type : elementTypes[this.element(e.buffer)], scope));
      case 'cast':
        if (e.arg.op === 'load' && this.element(e.arg.buffer) === 'int64') return this.load(e.arg, type, scope);
        return convert(this.value(e.arg, scope));
      case 'scalar':
        if (e.fn === 'select')
          return this.vector(scope, 'select', type, this.value(e.args[0], scope), ...e.args.slice(1).map((a) => this.laneIndex(a, scope)));
        return this.vector(scope, e.fn, type, ...e.args.map((a) => this.laneIndex(a, scope)));
      case 'reduce': {
        this.#reduce(e, scope);
        const result = scope.laneIndices.get(e);
        if (result === undefined) throw new Error('internal: reduction without a result');
        return convert(result);
      }
      default:
        throw new Error(`internal: ${e.op} is no index`);
    }
  }

  // ----------------------------------------------------------------------------------------------------- addresses

  /** Where element `index` of a buffer lies, for each lane. */
  place(buffer: number, index: Expr, scope: Scope): Place {
    const size = elementSizes[this.element(buffer)];
    const linear = linearize(index);
    const levels = new Map<Scope, [coefficient: number, operand: IndexOperand][]>();
    const varying: [number, Expr][] = [];
    let constant = linear.constant;
    let laneStride = 0;
    let laneCounter: IndexOperand = 0;
    let laneHome: Scope = scope;
    const add = (home: Scope, coefficient: number, operand: IndexOperand): void => {
      if (typeof operand === 'number') constant += coefficient * operand;
      else {
        const level = levels.get(home);
        if (level === undefined) levels.set(home, [[coefficient, operand]]);
        else level.push([coefficient, operand]);
      }
    };
    for (const [atom, coefficient] of linear.terms) {
      if (atom.op === 'axis') {
        const binding = scope.lookup(atom.axis);
        constant += coefficient * binding.offset;
        if (binding.lanes && atom.axis === scope.laneAxis) {
          laneStride = coefficient;
          laneCounter = binding.counter;
          laneHome = binding.home;
        } else add(binding.home, coefficient, binding.counter);
      } else if (scope.varies(atom)) varying.push([coefficient, atom]);
      else add(scope.home(atom), coefficient, this.index(atom, scope));
    }
    const row = laneStride === 1 && varying.length === 0;
    let counter: Register | null = null;
    if (row && typeof laneCounter !== 'number') counter = laneCounter;
    else if (laneStride !== 0) add(laneHome, laneStride, laneCounter);

    // the address of each scope from the one outside it
    const ordered = [...levels].sort((a, b) => a[0].depth - b[0].depth);
    const root = scope.root();
    let key = `buffer ${buffer}`;
    let base = this.#named(root, key, () => {
      const dst = this.register('index');
      root.code.push({ kind: 'buffer', dst, slot: buffer });
      return dst;
    });
    let scale: Address['scale'] = size;
    for (const [position, [level, terms]] of ordered.entries()) {
      const innermost = position === ordered.length - 1;
      const [coefficient, operand] = terms[0];
      const isGather = !row && (laneStride !== 0 || varying.length > 0);
      if (innermost && counter === null && !isGather && terms.length === 1 && isScale(coefficient * size)) {
        counter = operand as Register;
        scale = (coefficient * size) as Address['scale'];
        break;
      }
      terms.sort((a, b) => (a[1] as Register).id - (b[1] as Register).id);
      key += ` | ${terms.map(([c, o]) => `${c}*r${(o as Register).id}`).join(' + ')}`;
      const outer = base;
      base = this.#named(level, key, () => this.#advance(level, outer, terms, size));
    }
    let displacement = constant * size;
    if (Math.abs(displacement) >= displacementLimit) {
      const outer = base;
      const far = displacement;
      const home = ordered.length === 0 ? root : scope;
      base = this.#named(home, `${key} far ${far}`, () => this.indexOp(home, 'add', outer, far) as Register);
      displacement = 0;
    }
    if (row) return { kind: 'row', address: { base, index: counter, scale, displacement } };
    if (laneStride === 0 && varying.length === 0) return { kind: 'one', address: { base, index: counter, scale, displacement } };
    return { kind: 'lanes', base, displacement, indices: this.#gatherIndices(scope, laneStride, varying) };
  }

  /** base + sum of terms * size. */
  #advance(scope: Scope, base: Register, terms: readonly [number, IndexOperand][], size: number): Register {
    let sum: Register | null = null;
    let result = base;
    for (const [coefficient, operand] of terms) {
      if (isScale(coefficient * size)) {
        const dst = this.register('index');
        const address: Address = {
          base: result,
          index: operand as Register,
          scale: (coefficient * size) as Address['scale'],
          displacement: 0,
        };
        scope.code.push({ kind: 'address', dst, address });
        result = dst;
      } else {
        const product = this.#named(
          scope,
          `r${(operand as Register).id} * ${coefficient * size}`,
          () => this.indexOp(scope, 'mul', operand, coefficient * size) as Register,
        );
        sum = (sum === null ? product : this.indexOp(scope, 'add', sum, product)) as Register;
      }
    }
    return sum === null ? result : (this.indexOp(scope, 'add', result, sum) as Register);
  }

  #gatherIndices(scope: Scope, stride: number, varying: readonly [number, Expr][]): Register {
    const type = this.laneIndexType;
    const times = (at: Scope, v: Register, coefficient: number): Register =>
      coefficient === 1 ? v : this.vector(at, 'mul', type, v, this.sharedConstant(at, type, this.#laneConstant(coefficient)));
    let sum: Register | null = null;
    if (stride !== 0) {
      const root = scope.root();
      const lane = this.#named(root, 'lane numbers', () => {
        const dst = this.register(type);
        root.code.push({ kind: 'iota', dst, src: 0 });
        return dst;
      });
      sum = this.#named(root, `lane numbers * ${stride}`, () => times(root, lane, stride));
    }
    for (const [coefficient, atom] of varying) {
      const home = scope.home(atom);
      const product = this.#named(home, `lanes ${coefficient} * ${this.#idOf(atom)}`, () =>
        times(home, this.laneIndex(atom, scope), coefficient),
      );
      const before = sum;
      sum = before === null ? product : this.vector(scope, 'add', type, before, product);
    }
    if (sum === null) throw new Error('internal: a gather without varying terms');
    return sum;
  }
}

function isScale(n: number): boolean {
  return n === 1 || n === 2 || n === 4 || n === 8;
}

/** The type in which a buffer's elements are computed. */
export function computeOf(buffer: BufferDeclaration): ComputeType {
  return buffer.dtype.real.compute;
}
