/**
 * Scopes of lowering: where code goes and what is known there.
 *
 * A scope is a block of emitted statements with the axes that it binds. An expression is emitted in the deepest scope on the way from
 * here to the root that binds one of its free axes; what it needs from further out goes there, ahead of the loop that is being built,
 * so hoisting needs no pass of its own. Each copy of an unrolled body is a scope of its own that may share its parent's code list.
 */
import { freeAxes } from './expression.ts';
import type { Axis, Expr } from './ir.ts';
import type { IndexOperand, Register, RegisterType, VectorStatement } from './vector-ir.ts';

/** The axis has the value counter + offset; on lanes, lane l adds l. Address terms of the counter belong to `home`. */
export interface Binding {
  readonly counter: IndexOperand;
  readonly offset: number;
  readonly lanes: boolean;
  readonly home: Scope;
}

export class Scope {
  readonly parent: Scope | null;
  readonly depth: number;
  readonly code: VectorStatement[];
  readonly bindings = new Map<Axis, Binding>();
  /** Expressions used somewhere inside, to find reductions that can share a loop. */
  readonly roots: readonly Expr[];
  /** The axis that runs across lanes here. */
  laneAxis: Axis | null;
  /** Lanes at and beyond this are inactive; null: all active. */
  count: IndexOperand | null;
  readonly values = new Map<Expr, Register>();
  readonly indices = new Map<Expr, IndexOperand>();
  readonly laneIndices = new Map<Expr, Register>();
  /** Addresses and other computed registers by a textual key. */
  readonly named = new Map<string, Register>();

  constructor(parent: Scope | null, roots: readonly Expr[], code: VectorStatement[] = []) {
    this.parent = parent;
    this.depth = parent === null ? 0 : parent.depth + 1;
    this.code = code;
    this.roots = roots;
    this.laneAxis = parent?.laneAxis ?? null;
    this.count = parent?.count ?? null;
  }

  lookup(axis: Axis): Binding {
    for (let s: Scope | null = this; s !== null; s = s.parent) {
      const binding = s.bindings.get(axis);
      if (binding !== undefined) return binding;
    }
    throw new Error(`internal: axis ${axis.name}${axis.id} is not bound`);
  }

  /** The scope in which an expression is evaluated. */
  home(e: Expr): Scope {
    const free = freeAxes(e);
    let s: Scope = this;
    while (s.parent !== null) {
      for (const axis of s.bindings.keys()) if (free.has(axis)) return s;
      s = s.parent;
    }
    return s;
  }

  root(): Scope {
    let s: Scope = this;
    while (s.parent !== null) s = s.parent;
    return s;
  }

  varies(e: Expr): boolean {
    return this.laneAxis !== null && freeAxes(e).has(this.laneAxis);
  }
}

/** Makes registers and small statements. */
export class Emitter {
  #registers = 0;

  get registerCount(): number {
    return this.#registers;
  }
  register(type: RegisterType): Register {
    return { id: this.#registers++, type };
  }
  indexOp(scope: Scope, op: (VectorStatement & { kind: 'index' })['op'], ...args: IndexOperand[]): IndexOperand {
    const [a, b] = args;
    if (typeof a === 'number' && typeof b === 'number' && args.length === 2) {
      const folded = foldIndex(op, a, b);
      if (folded !== null) return folded;
    }
    if ((op === 'idiv' || op === 'irem') && b === 0) return 0; // an empty grid
    if (op === 'add' && b === 0) return a;
    if (op === 'add' && a === 0) return b;
    if (op === 'sub' && b === 0) return a;
    if (op === 'mul' && b === 1) return a;
    if (op === 'mul' && a === 1) return b;
    if (op === 'mul' && (a === 0 || b === 0)) return 0;
    const dst = this.register('index');
    scope.code.push({ kind: 'index', op, dst, args });
    return dst;
  }
  /** An operand as a register. */
  toRegister(scope: Scope, o: IndexOperand): Register {
    if (typeof o !== 'number') return o;
    const dst = this.register('index');
    scope.code.push({ kind: 'index-const', dst, value: o });
    return dst;
  }
  assign(scope: Scope, dst: Register, src: Register): void {
    scope.code.push({ kind: 'assign', dst, src });
  }
  constant(scope: Scope, type: RegisterType, value: number | bigint | boolean): Register {
    const dst = this.register(type);
    scope.code.push({ kind: 'splat-const', dst, value });
    return dst;
  }
  /** A constant in the root scope, shared. It must not be assigned to. */
  sharedConstant(scope: Scope, type: RegisterType, value: number | bigint | boolean): Register {
    const root = scope.root();
    const key = `constant ${type} ${Object.is(value, -0) ? '-0' : String(value)}`;
    let found = root.named.get(key);
    if (found === undefined) {
      found = this.constant(root, type, value);
      root.named.set(key, found);
    }
    return found;
  }
  vector(scope: Scope, op: (VectorStatement & { kind: 'vector' })['op'], type: RegisterType, ...args: Register[]): Register {
    const dst = this.register(type);
    scope.code.push({ kind: 'vector', op, dst, args });
    return dst;
  }
}

function foldIndex(op: string, a: number, b: number): number | null {
  switch (op) {
    case 'add':
      return a + b;
    case 'sub':
      return a - b;
    case 'mul':
      return a * b;
    case 'and':
      return a & b; // only masks of lane counts are constant on both sides
    case 'min':
      return Math.min(a, b);
    case 'max':
      return Math.max(a, b);
    case 'idiv':
      return b === 0 ? 0 : Math.trunc(a / b);
    case 'irem':
      return b === 0 ? 0 : a % b;
    case 'lt':
      return a < b ? 1 : 0;
    case 'le':
      return a <= b ? 1 : 0;
    case 'eq':
      return a === b ? 1 : 0;
    case 'ne':
      return a !== b ? 1 : 0;
    default:
      return null;
  }
}
