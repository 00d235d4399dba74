/**
 * Bitwise and logical operators, greatest common divisors: https://docs.pytorch.org/docs/stable/torch.html#pointwise-ops
 *
 * A shift by less than zero or by the width and more gives 0 to the left, and the sign to the right.
 */
import { bool } from '../dtype/dtype.ts';
import type { LibraryFunction } from '../graph/library.ts';
import type { Prim } from '../graph/prim.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { writeInto } from '../tensor/write.ts';
import { declare, declareInplace, overload } from './declare.ts';
import { elementwise, type Operand } from './elementwise.ts';
import { gcdBig, gcdNumber, lcmBig, lcmNumber } from './host/divisor.ts';
import {
  type BinaryCall,
  callOn,
  docOf,
  inplaceFunctions,
  only,
  predicate,
  scalarTensor,
  tensorOverload,
  tensorScalar,
  tensorTensor,
  unaryCall,
  unaryOverload,
} from './pointwise-support.ts';

const bits = (name: 'bitwise_and' | 'bitwise_or' | 'bitwise_xor', body: (a: Prim, b: Prim) => Prim): BinaryCall =>
  elementwise({ name, kind: 'DEFAULT', body: ([a, b]) => body(a, b), check: only(`${name}_cpu`, 'int', 'bool') });
const andCall = bits('bitwise_and', (a, b) => a.and(b));
const orCall = bits('bitwise_or', (a, b) => a.or(b));
const xorCall = bits('bitwise_xor', (a, b) => a.scalar('xor', b));

const shift = (name: 'bitwise_left_shift' | 'bitwise_right_shift', kernel: string, body: (a: Prim, b: Prim) => Prim): BinaryCall =>
  elementwise({ name, kind: 'DEFAULT', body: ([a, b]) => body(a, b), check: only(kernel, 'int') });
const leftCall = shift('bitwise_left_shift', 'lshift_cpu', (a, b) => a.scalar('shl', b));
const rightCall = shift('bitwise_right_shift', 'rshift_cpu', (a, b) => a.scalar('shr', b));

const notCall = unaryCall('bitwise_not', (x) => x.not(), { kind: 'DEFAULT', check: only('bitwise_not_cpu', 'int', 'bool') });

const declareBits = <const N extends string>(name: N, text: string, call: BinaryCall) =>
  declareInplace(docOf(name, text), tensorTensor(name, call), tensorScalar(name, call), scalarTensor(name, call));
const declareShift = <const N extends string>(name: N, text: string, call: BinaryCall) =>
  declareInplace(
    docOf(name, text),
    tensorTensor(name, call),
    overload(`${name}.Tensor_Scalar(Tensor self, Scalar other) -> Tensor` as const, ((a: Tensor, b: Operand) => call([a, b])) as never),
    scalarTensor(name, call),
  );

const truth = (x: Prim): Prim => (x.dtype === bool ? x : x.ne(0));
const logical = <const N extends string>(name: N, text: string, body: (a: Prim, b: Prim) => Prim) =>
  declareInplace(
    docOf(name, text),
    tensorOverload(name, elementwise({ name, kind: 'ALWAYS_BOOL', body: ([a, b]) => body(truth(a), truth(b)) })),
  );

const divisor = (name: 'gcd' | 'lcm', small: (a: number, b: number) => number, big: (a: bigint, b: bigint) => bigint) => {
  const fn: LibraryFunction<null> = {
    name,
    run: ([a, b], [out]) => {
      if (out.data instanceof BigInt64Array) {
        const [x, y] = [a.data as BigInt64Array, b.data as BigInt64Array];
        for (let i = 0; i < out.data.length; i++) out.data[i] = big(x[i], y[i]);
        return;
      }
      const [x, y, to] = [a.data as Int32Array, b.data as Int32Array, out.data as Int32Array];
      for (let i = 0; i < to.length; i++) to[i] = small(x[i], y[i]);
    },
  };
  const call = elementwise({ name, kind: 'DEFAULT', body: ([a, b]) => callOn(fn, [a, b], null), check: only(`${name}_cpu`, 'int') });
  return tensorOverload(name, call);
};

const method = (name: string): { readonly doc: string; readonly as: 'method' } => ({ doc: `Python's operator ${name}`, as: 'method' });
const operator = <const N extends string>(name: N, call: BinaryCall) =>
  declare(method(name), tensorTensor(name, call), tensorScalar(name, call));
const reflected = <const N extends string>(name: N, call: BinaryCall) => operator(name, ([a, b]) => call([b, a]));
/** `__iand__` and its kin write into self. */
const writing = <const N extends string>(name: N, call: BinaryCall) =>
  operator(name, ([self, other]) => writeInto(self as Tensor, () => call([self, other])));

const gcd = declareInplace(docOf('gcd', 'Greatest common divisor'), divisor('gcd', gcdNumber, gcdBig));
const lcm = declareInplace(docOf('lcm', 'Least common multiple'), divisor('lcm', lcmNumber, lcmBig));

export const bitwise = {
  bitwise_not: declareInplace(docOf('bitwise_not', 'All bits flipped; of a bool, its negation'), unaryOverload('bitwise_not', notCall)),
  bitwise_and: declareBits('bitwise_and', 'Bitwise and', andCall),
  bitwise_or: declareBits('bitwise_or', 'Bitwise or', orCall),
  bitwise_xor: declareBits('bitwise_xor', 'Bitwise exclusive or', xorCall),
  bitwise_left_shift: declareShift('bitwise_left_shift', 'Shifted to the left by other bits', leftCall),
  bitwise_right_shift: declareShift('bitwise_right_shift', 'Shifted to the right by other bits, keeping the sign', rightCall),
  logical_not: { ...predicate('logical_not', 'Whether zero', (x) => truth(x).not()), inplace: true as const },
  logical_and: logical('logical_and', 'Whether both are not zero', (a, b) => a.and(b)),
  logical_or: logical('logical_or', 'Whether one is not zero', (a, b) => a.or(b)),
  logical_xor: logical('logical_xor', 'Whether exactly one is not zero', (a, b) => a.ne(b)),
  gcd,
  lcm,
  ...inplaceFunctions({ gcd, lcm }, ['gcd', 'lcm']),
  __and__: operator('__and__', andCall),
  __or__: operator('__or__', orCall),
  __xor__: operator('__xor__', xorCall),
  __rand__: reflected('__rand__', andCall),
  __ror__: reflected('__ror__', orCall),
  __rxor__: reflected('__rxor__', xorCall),
  __lshift__: operator('__lshift__', leftCall),
  __rshift__: operator('__rshift__', rightCall),
  __rlshift__: reflected('__rlshift__', leftCall),
  __rrshift__: reflected('__rrshift__', rightCall),
  __iand__: writing('__iand__', andCall),
  __ior__: writing('__ior__', orCall),
  __ixor__: writing('__ixor__', xorCall),
  __ilshift__: writing('__ilshift__', leftCall),
  __irshift__: writing('__irshift__', rightCall),
  __invert__: declare(method('__invert__'), unaryOverload('__invert__', notCall)),
};
