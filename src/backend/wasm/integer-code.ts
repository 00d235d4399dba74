/**
 * Integer arithmetic and loops for hand-written WebAssembly functions: values are closures that push an i32, so that a formula reads as one.
 */
import type { FunctionBuilder } from './encoder.ts';

/** Pushes an i32. */
export type Value = () => void;

export class IntegerCode {
  readonly f: FunctionBuilder;

  constructor(f: FunctionBuilder) {
    this.f = f;
  }

  /** The function's parameters as values. */
  parameters(count: number): Value[] {
    return Array.from({ length: count }, (_, local) => this.of(local));
  }
  of(local: number): Value {
    return () => this.f.get(local);
  }
  literal(value: number): Value {
    return () => this.f.i32(value);
  }
  /** Evaluates once, into a local. */
  keep(value: Value): Value {
    const local = this.f.local('i32');
    this.set(local, value);
    return this.of(local);
  }
  set(local: number, value: Value): void {
    value();
    this.f.set(local);
  }

  add(first: Value, ...rest: Value[]): Value {
    return () => {
      first();
      for (const value of rest) {
        value();
        this.f.op('i32.add');
      }
    };
  }
  subtract(a: Value, b: Value): Value {
    return () => {
      a();
      b();
      this.f.op('i32.sub');
    };
  }
  multiply(a: Value, b: Value): Value {
    return () => {
      a();
      b();
      this.f.op('i32.mul');
    };
  }
  scale(a: Value, factor: number): Value {
    return this.multiply(a, this.literal(factor));
  }
  divide(a: Value, b: Value): Value {
    return () => {
      a();
      b();
      this.f.op('i32.div_u');
    };
  }
  remainder(a: Value, b: Value): Value {
    return () => {
      a();
      b();
      this.f.op('i32.rem_u');
    };
  }
  /** ceil(a / b) of positive numbers. */
  divideUp(a: Value, b: Value): Value {
    return this.divide(this.subtract(this.add(a, b), this.literal(1)), b);
  }
  /** Of cheap values: each is pushed twice. */
  minimum(a: Value, b: Value): Value {
    return () => {
      a();
      b();
      a();
      b();
      this.f.op('i32.lt_s');
      this.f.op('select');
    };
  }
  equal(a: Value, b: Value): Value {
    return () => {
      a();
      b();
      this.f.op('i32.eq');
    };
  }
  less(a: Value, b: Value): Value {
    return () => {
      a();
      b();
      this.f.op('i32.lt_s');
    };
  }
  atLeast(a: Value, b: Value): Value {
    return () => {
      a();
      b();
      this.f.op('i32.ge_s');
    };
  }
  both(a: Value, b: Value): Value {
    return () => {
      a();
      b();
      this.f.op('i32.and');
    };
  }

  if(condition: Value, then: () => void, otherwise: (() => void) | null = null): void {
    condition();
    this.f.if(then, otherwise);
  }
  while(condition: Value, body: () => void): void {
    condition();
    this.f.if(() => {
      this.f.loop((head) => {
        body();
        condition();
        this.f.brIf(head);
      });
    });
  }
  /** index = from, from + step, ... below `to` (pushed every time round). */
  range(from: Value, to: Value, step: number, body: (index: Value) => void): void {
    const index = this.f.local('i32');
    this.set(index, from);
    this.while(this.less(this.of(index), to), () => {
      body(this.of(index));
      this.increment(index, this.literal(step));
    });
  }
  increment(local: number, by: Value): void {
    this.set(local, this.add(this.of(local), by));
  }
  call(fn: number, ...args: Value[]): void {
    for (const value of args) value();
    this.f.call(fn);
  }
}
