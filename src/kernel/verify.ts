/**
 * Verifier of kernel IR: types, arity, buffers and their access, axes bound where they are used, one meaning per shared node.
 * Throws `internal:` errors naming the expression; runs in debug mode after every pass and in tests.
 */
import { freeAxes, reachable, rootsOf } from './expression.ts';
import type { Axis, Expr, Kernel, Statement } from './ir.ts';
import { printExpr } from './print.ts';
import { scalarOps } from './scalar.ts';

export function verifyKernel(kernel: Kernel): void {
  const fail = (why: string, e?: Expr): never => {
    throw new Error(`internal: kernel ${kernel.name}: ${why}${e === undefined ? '' : `: ${printExpr(e).slice(0, 300)}`}`);
  };
  const buffer = (slot: number, writes: boolean, e?: Expr): void => {
    const declared = kernel.buffers[slot];
    if (declared === undefined) fail(`no buffer ${slot}`, e);
    if (writes ? declared.access === 'read' : declared.access === 'write') fail(`buffer ${slot} is ${declared.access}`, e);
  };
  const extent = (a: Axis): void => {
    if (a.extent.type !== 'index' || [...reachable([a.extent])].some((e) => e.op !== 'const' && e.op !== 'param' && e.op !== 'scalar'))
      fail(`extent of ${a.name} is not made of constants and parameters`, a.extent);
  };

  function node(e: Expr): void {
    switch (e.op) {
      case 'const': {
        const expected = e.type === 'i64' ? 'bigint' : e.type === 'bool' ? 'boolean' : 'number';
        if (typeof e.value !== expected) fail(`constant of type ${e.type}`, e);
        return;
      }
      case 'param':
        if (kernel.params[e.slot] !== e.type) fail(`parameter ${e.slot} is ${kernel.params[e.slot]}`, e);
        return;
      case 'axis':
        return;
      case 'load':
        buffer(e.buffer, false, e);
        if (e.index.type !== 'index') fail('index type', e);
        if (e.mask !== null && e.mask.type !== 'bool') fail('mask type', e);
        if (e.type === 'index' && kernel.buffers[e.buffer].dtype.kind !== 'int') fail('index loaded from no integer', e);
        return;
      case 'scalar': {
        const info = scalarOps[e.fn];
        if (e.args.length !== info.arity) fail('arity', e);
        const values = e.fn === 'select' ? e.args.slice(1) : e.args;
        const [{ type }] = values;
        if (e.fn === 'select' && e.args[0].type !== 'bool') fail('select by no bool', e);
        if (values.some((v) => v.type !== type)) fail('operand types differ', e);
        const float = type === 'f32' || type === 'f64';
        const int = type === 'i32' || type === 'i64';
        const allowed = { float, int, number: type !== 'bool', bits: int || type === 'bool', any: true, bool: type === 'bool' };
        if (!allowed[info.operands]) fail(`${e.fn} on ${type}`, e);
        if (e.type !== (info.result === 'bool' ? 'bool' : type)) fail('result type', e);
        return;
      }
      case 'cast':
        if (e.type === 'index' && (e.arg.type === 'f32' || e.arg.type === 'f64')) fail('index from a float', e);
        return;
      case 'bitcast':
        if (![`f32i32`, 'i32f32', 'f64i64', 'i64f64'].includes(e.arg.type + e.type)) fail('bitcast types', e);
        return;
      case 'round':
        if (e.dtype.compute !== e.type || e.dtype.is_complex) fail(`round to ${e.dtype.name}`, e);
        return;
      case 'reduce': {
        if (e.axes.length === 0) fail('reduction over nothing', e);
        for (const a of e.axes) extent(a);
        const bool = e.value.type === 'bool';
        const logical = e.kind === 'any' || e.kind === 'all';
        const best = e.kind === 'argmax' || e.kind === 'argmin';
        if (logical !== bool && !(bool && best)) fail(`${e.kind} of ${e.value.type}`, e);
        if (e.value.type === 'index') fail('reduction of an index', e);
        return;
      }
      default:
        e satisfies never;
    }
  }
  function block(body: readonly Statement[], bound: ReadonlySet<Axis>): void {
    for (const s of body) {
      if (s.kind === 'loop') {
        extent(s.axis);
        if (bound.has(s.axis)) fail(`axis ${s.axis.name} is bound twice`);
        block(s.body, new Set([...bound, s.axis]));
        continue;
      }
      buffer(s.buffer, true);
      if (s.combine !== null) buffer(s.buffer, false);
      if (s.index.type !== 'index') fail('store index type', s.index);
      if (s.value.type === 'index') fail('an index is cast before it is stored', s.value);
      if (s.mask !== null && s.mask.type !== 'bool') fail('store mask type', s.mask);
      for (const e of [s.index, s.value, ...(s.mask === null ? [] : [s.mask])])
        for (const a of freeAxes(e)) if (!bound.has(a)) fail(`axis ${a.name}${a.id} is not bound`, e);
    }
  }
  for (const e of reachable(rootsOf(kernel.body))) node(e);
  for (const a of kernel.grid) extent(a);
  block(kernel.body, new Set(kernel.grid));
}
