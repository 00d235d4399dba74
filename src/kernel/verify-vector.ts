/**
 * Verifier of the vector IR: register types, definition before use, scopes, the small constraints that vector-ir.ts states.
 * It throws `internal:` errors that name the statement; it never repairs.
 */

import { printVectorStatement } from './print-vector.ts';
import type { ScalarOp } from './scalar.ts';
import { scalarOps } from './scalar.ts';
import type { Address, ElementName, IndexOperand, Register, RegisterType, VectorKernel, VectorStatement } from './vector-ir.ts';
import { elementTypes, usedRegisters } from './vector-ir.ts';

const indexArity: Record<string, number> = { select: 3 };

/** Throws when the kernel is not well formed. */
export function verifyVectorKernel(kernel: VectorKernel): void {
  const defined = new Set<number>([kernel.begin.id, kernel.end.id]);
  const everDefined = new Set<number>(defined);
  const counters = new Set<number>();

  function fail(s: VectorStatement, why: string): never {
    throw new Error(`internal: vector kernel ${kernel.name}: ${why} in ${printVectorStatement(s).trim()}`);
  }
  function expect(s: VectorStatement, r: Register, ...types: RegisterType[]): void {
    if (!types.includes(r.type)) fail(s, `register ${r.type}${r.id} is not ${types.join('|')}`);
  }
  function operand(s: VectorStatement, o: IndexOperand): void {
    if (typeof o !== 'number') expect(s, o, 'index');
    else if (!Number.isSafeInteger(o)) fail(s, `${o} is not an integer`);
  }
  function address(s: VectorStatement, a: Address): void {
    expect(s, a.base, 'index');
    if (a.index !== null) expect(s, a.index, 'index');
    if (Math.abs(a.displacement) >= 2 ** 31) fail(s, 'displacement too large');
  }
  function element(s: VectorStatement, r: Register, dtype: ElementName, narrow: boolean): void {
    const type = elementTypes[dtype];
    if (r.type !== type && !(narrow && dtype === 'int64' && r.type === 'i32')) fail(s, `${dtype} in a register of type ${r.type}`);
  }
  function define(s: VectorStatement, r: Register): void {
    if (everDefined.has(r.id)) fail(s, `register ${r.id} is defined twice`);
    if (r.id >= kernel.registerCount) fail(s, `register ${r.id} is above registerCount`);
    defined.add(r.id);
    everDefined.add(r.id);
  }
  function vectorOp(s: VectorStatement & { kind: 'vector' }): void {
    const info = scalarOps[s.op as ScalarOp];
    if (info.arity !== s.args.length) fail(s, 'arity');
    const values = s.op === 'select' ? s.args.slice(1) : s.args;
    if (s.op === 'select') expect(s, s.args[0], 'mask');
    const type = values[0].type;
    if (values.some((v) => v.type !== type) || type === 'index') fail(s, 'operand types differ or are index');
    const float = type === 'f32' || type === 'f64';
    const int = type === 'i32' || type === 'i64';
    const ok = { float, int, number: float || int, bits: int || type === 'mask', any: true, bool: type === 'mask' }[info.operands];
    if (!ok) fail(s, `${s.op} on ${type}`);
    expect(s, s.dst, info.result === 'bool' ? 'mask' : type);
  }
  function block(body: readonly VectorStatement[]): void {
    const outer = new Set(defined);
    for (const s of body) statement(s);
    for (const id of [...defined]) if (!outer.has(id)) defined.delete(id);
  }
  function statement(s: VectorStatement): void {
    for (const r of usedRegisters(s)) if (!defined.has(r.id)) fail(s, `register ${r.type}${r.id} is used before it is defined`);
    switch (s.kind) {
      case 'buffer':
      case 'index-const':
        expect(s, s.dst, 'index');
        break;
      case 'param':
      case 'splat-const':
        break;
      case 'index':
        expect(s, s.dst, 'index');
        if (s.args.length !== (indexArity[s.op] ?? 2)) fail(s, 'arity');
        for (const a of s.args) operand(s, a);
        if ((s.op === 'idiv' || s.op === 'irem') && s.args[1] === 0) fail(s, 'division by constant zero');
        break;
      case 'address':
        expect(s, s.dst, 'index');
        address(s, s.address);
        break;
      case 'load-index':
        expect(s, s.dst, 'index');
        if (elementTypes[s.dtype] === 'f32' || elementTypes[s.dtype] === 'f64') fail(s, 'index from a float');
        address(s, s.address);
        break;
      case 'splat':
        expect(s, s.src, 'index');
        expect(s, s.dst, 'i32', 'i64', 'mask');
        break;
      case 'iota':
        operand(s, s.src);
        expect(s, s.dst, 'i32', 'i64');
        break;
      case 'lane-mask':
        operand(s, s.count);
        expect(s, s.dst, 'mask');
        break;
      case 'vector':
        vectorOp(s);
        break;
      case 'cast':
        if (s.src.type === 'index' || s.dst.type === 'index') fail(s, 'cast of index');
        break;
      case 'bitcast': {
        const pairs: Partial<Record<RegisterType, RegisterType>> = { f32: 'i32', i32: 'f32', f64: 'i64', i64: 'f64' };
        if (pairs[s.src.type] !== s.dst.type) fail(s, 'bitcast types');
        break;
      }
      case 'round':
        if (s.src.type !== s.dst.type) fail(s, 'round changes the type');
        break;
      case 'load':
        address(s, s.address);
        element(s, s.dst, s.dtype, true);
        if (s.count !== null) operand(s, s.count);
        if (s.mask !== null) expect(s, s.mask, 'mask');
        if (s.mask !== null && s.count !== null) fail(s, 'both count and mask');
        break;
      case 'broadcast':
        address(s, s.address);
        element(s, s.dst, s.dtype, true);
        break;
      case 'store':
        address(s, s.address);
        element(s, s.src, s.dtype, false);
        if (s.count !== null) operand(s, s.count);
        if (s.mask !== null) expect(s, s.mask, 'mask');
        if (s.mask !== null && s.count !== null) fail(s, 'both count and mask');
        break;
      case 'gather':
      case 'scatter':
        expect(s, s.base, 'index');
        expect(s, s.indices, 'i32', 'i64');
        if (s.mask !== null) expect(s, s.mask, 'mask');
        if (s.kind === 'gather') element(s, s.dst, s.dtype, true);
        else element(s, s.src, s.dtype, false);
        break;
      case 'swap':
        if (![1, 2, 4, 8].includes(s.distance) || s.distance >= kernel.lanes) fail(s, 'distance');
        if (s.src.type !== s.dst.type || s.src.type === 'mask' || s.src.type === 'index') fail(s, 'swap types');
        break;
      case 'splat-lane':
        if (s.src.type !== s.dst.type || s.src.type === 'mask' || s.src.type === 'index') fail(s, 'splat-lane types');
        break;
      case 'extract':
        expect(s, s.dst, 'index');
        expect(s, s.src, 'i32', 'i64', 'mask');
        break;
      case 'mask-test':
        expect(s, s.dst, 'index');
        expect(s, s.src, 'mask');
        break;
      case 'assign':
        if (s.src.type !== s.dst.type) fail(s, 'assign types');
        if (!defined.has(s.dst.id)) fail(s, 'assign to an undefined register');
        if (counters.has(s.dst.id)) fail(s, 'assign to a loop counter');
        return;
      case 'loop': {
        operand(s, s.from);
        operand(s, s.to);
        if (!(s.step > 0)) fail(s, 'step');
        const outer = new Set(defined);
        define(s, s.counter);
        counters.add(s.counter.id);
        expect(s, s.counter, 'index');
        block(s.body);
        for (const id of [...defined]) if (!outer.has(id)) defined.delete(id);
        return;
      }
      case 'if':
        operand(s, s.a);
        operand(s, s.b);
        block(s.then);
        block(s.else);
        return;
      default:
        s satisfies never;
    }
    if (s.kind !== 'store' && s.kind !== 'scatter') define(s, s.dst);
  }
  for (const s of kernel.body) statement(s);
}
