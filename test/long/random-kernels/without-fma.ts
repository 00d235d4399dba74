/** A kernel whose fused multiply-adds are products and sums, each rounded: what WebAssembly computes where the engine has no fused one. */
import { type Axis, type Expr, type Kernel, KernelBuilder, type Statement } from '../../../src/kernel/ir.ts';

export function withoutFma(kernel: Kernel): Kernel {
  const b = new KernelBuilder();
  const axes = new Map<Axis, Axis>();
  const done = new Map<Expr, Expr>();
  const axisOf = (axis: Axis): Axis => {
    let made = axes.get(axis);
    if (made === undefined) {
      made = b.axis(axis.name, rewrite(axis.extent), axis.kind);
      axes.set(axis, made);
    }
    return made;
  };
  const rewrite = (e: Expr): Expr => {
    let made = done.get(e);
    if (made === undefined) {
      made = rewritten(e);
      done.set(e, made);
    }
    return made;
  };
  const rewritten = (e: Expr): Expr => {
    switch (e.op) {
      case 'const':
        return b.const(e.type, e.value);
      case 'param':
        return b.param(e.type, e.slot);
      case 'axis':
        return b.use(axisOf(e.axis));
      case 'load':
        return b.load(e.buffer, e.type, rewrite(e.index), e.mask && rewrite(e.mask), e.anchor && rewrite(e.anchor));
      case 'scalar': {
        const args = e.args.map(rewrite);
        return e.fn === 'fma' ? b.scalar('add', b.scalar('mul', args[0]!, args[1]!), args[2]!) : b.scalar(e.fn, ...args);
      }
      case 'cast':
        return b.cast(e.type, rewrite(e.arg));
      case 'bitcast':
        return b.bitcast(e.type, rewrite(e.arg));
      case 'round':
        return b.round(e.dtype, rewrite(e.arg));
      case 'reduce':
        return b.reduce(e.kind, e.axes.map(axisOf), rewrite(e.value));
      default:
        return e satisfies never;
    }
  };
  const statement = (s: Statement): Statement =>
    s.kind === 'loop'
      ? { kind: 'loop', axis: axisOf(s.axis), body: s.body.map(statement) }
      : { ...s, index: rewrite(s.index), value: rewrite(s.value), mask: s.mask && rewrite(s.mask) };
  return { ...kernel, grid: kernel.grid.map(axisOf), body: kernel.body.map(statement) };
}
