/**
 * Interpreter of the vector IR over byte arrays, for tests: lowering is judged without a machine.
 *
 * An address is a number: buffer slot in the high part, byte offset in the low. Every element access is checked against its buffer, so a
 * kernel that reads past a tail fails here even where the machine would not notice.
 */

import { decode, encodeInto, viewArray } from '../dtype/codec.ts';
import type { DType } from '../dtype/dtype.ts';
import { dtypeByName } from '../dtype/dtype.ts';
import type { ComputeType } from './scalar.ts';
import type { Value } from './scalar-reference.ts';
import { bitcastReference, castReference, roundReference, scalarReference } from './scalar-reference.ts';
import type { Address, ElementName, IndexOperand, Register, VectorKernel, VectorStatement } from './vector-ir.ts';
import { elementSizes } from './vector-ir.ts';

const slotSize = 2 ** 40;
const computeType = (r: Register): ComputeType => (r.type === 'mask' ? 'bool' : r.type);
const zero = (r: Register): Value => (r.type === 'mask' ? false : r.type === 'i64' ? 0n : 0);

function element(name: ElementName): DType {
  const dtype = dtypeByName(name);
  if (dtype === undefined) throw new Error(`internal: no dtype ${name}`);
  return dtype;
}

/** Runs grid indices [begin, end) of a vector kernel. */
export function interpretVectorKernel(
  kernel: VectorKernel,
  buffers: readonly Uint8Array[],
  params: readonly Value[],
  begin: number,
  end: number,
): void {
  const lanes = kernel.lanes;
  const all = kernel.buffers.map((b, i) => (b.access === 'local' ? new Uint8Array(b.elements! * b.dtype.itemsize) : buffers[i]));
  const index = new Float64Array(kernel.registerCount);
  const vectors: Value[][] = [];
  index[kernel.begin.id] = begin;
  index[kernel.end.id] = end;

  const operand = (o: IndexOperand): number => (typeof o === 'number' ? o : index[o.id]);
  const resolve = (a: Address): number => index[a.base.id] + (a.index === null ? 0 : index[a.index.id] * a.scale) + a.displacement;
  const fill = (r: Register, lane: (l: number) => Value): void => {
    const values: Value[] = [];
    for (let l = 0; l < lanes; l++) values.push(lane(l));
    vectors[r.id] = values;
  };
  const bytes = (address: number, size: number): Uint8Array => {
    const slot = Math.floor(address / slotSize) - 1;
    const offset = address - (slot + 1) * slotSize;
    const buffer = all[slot];
    if (buffer === undefined || offset < 0 || offset + size > buffer.length)
      throw new Error(`internal: access out of bounds in ${kernel.name}: buffer ${slot}, offset ${offset}`);
    return buffer.subarray(offset, offset + size);
  };
  const read = (name: ElementName, address: number, r: Register): Value => {
    const value = decode(element(name), viewArray(element(name), bytes(address, elementSizes[name]).slice()), 0) as Value;
    return name === 'int64' && r.type === 'i32' ? Number(BigInt.asIntN(32, value as bigint)) : value;
  };
  const write = (name: ElementName, address: number, value: Value): void => {
    const cell = viewArray(element(name), new Uint8Array(elementSizes[name]));
    encodeInto(element(name), cell, 0, value);
    bytes(address, elementSizes[name]).set(new Uint8Array(cell.buffer));
  };
  const active = (s: { count?: IndexOperand | null; mask: Register | null }): ((l: number) => boolean) => {
    const count = s.count === null || s.count === undefined ? lanes : operand(s.count);
    const mask = s.mask === null ? null : vectors[s.mask.id];
    return (l) => l < count && (mask === null || mask[l] === true);
  };
  const indexOp = (s: VectorStatement & { kind: 'index' }): number => {
    const [a, b, c] = s.args.map(operand);
    switch (s.op) {
      case 'and':
        return Number(BigInt(a) & BigInt(b));
      case 'or':
        return Number(BigInt(a) | BigInt(b));
      case 'xor':
        return Number(BigInt(a) ^ BigInt(b));
      case 'select':
        return a !== 0 ? b : c;
      default:
        return Number(scalarReference(s.op, 'index')(a, b, 0));
    }
  };

  function block(body: readonly VectorStatement[]): void {
    for (const s of body) statement(s);
  }
  function statement(s: VectorStatement): void {
    switch (s.kind) {
      case 'buffer':
        index[s.dst.id] = (s.slot + 1) * slotSize;
        return;
      case 'param': {
        const value = params[s.slot];
        if (s.dst.type === 'index') index[s.dst.id] = Number(value);
        else fill(s.dst, () => (s.dst.type === 'f32' ? Math.fround(value as number) : value));
        return;
      }
      case 'index-const':
        index[s.dst.id] = s.value;
        return;
      case 'index':
        index[s.dst.id] = indexOp(s);
        return;
      case 'address':
        index[s.dst.id] = resolve(s.address);
        return;
      case 'load-index':
        index[s.dst.id] = Number(read(s.dtype, resolve(s.address), s.dst));
        return;
      case 'splat-const':
        fill(s.dst, () => s.value);
        return;
      case 'splat': {
        const cast = castReference('index', computeType(s.dst));
        fill(s.dst, () => cast(index[s.src.id]));
        return;
      }
      case 'iota': {
        const cast = castReference('index', computeType(s.dst));
        const from = operand(s.src);
        fill(s.dst, (l) => cast(from + l));
        return;
      }
      case 'lane-mask': {
        const count = operand(s.count);
        fill(s.dst, (l) => l < count);
        return;
      }
      case 'vector': {
        const call = scalarReference(s.op, computeType(s.args[s.args.length - 1]));
        const args = s.args.map((a) => vectors[a.id]);
        fill(s.dst, (l) => call(args[0][l], args[1]?.[l] ?? 0, args[2]?.[l] ?? 0));
        return;
      }
      case 'cast': {
        const cast = castReference(computeType(s.src), computeType(s.dst));
        fill(s.dst, (l) => cast(vectors[s.src.id][l]));
        return;
      }
      case 'bitcast':
        fill(s.dst, (l) => bitcastReference(computeType(s.src), vectors[s.src.id][l]));
        return;
      case 'round':
        fill(s.dst, (l) => roundReference(element(s.dtype), vectors[s.src.id][l]));
        return;
      case 'load': {
        const on = active(s);
        const from = resolve(s.address);
        fill(s.dst, (l) => (on(l) ? read(s.dtype, from + l * elementSizes[s.dtype], s.dst) : zero(s.dst)));
        return;
      }
      case 'broadcast': {
        const value = read(s.dtype, resolve(s.address), s.dst);
        fill(s.dst, () => value);
        return;
      }
      case 'gather': {
        const on = active(s);
        const from = index[s.base.id] + s.displacement;
        fill(s.dst, (l) => (on(l) ? read(s.dtype, from + Number(vectors[s.indices.id][l]) * elementSizes[s.dtype], s.dst) : zero(s.dst)));
        return;
      }
      case 'store': {
        const on = active(s);
        const to = resolve(s.address);
        for (let l = 0; l < lanes; l++) if (on(l)) write(s.dtype, to + l * elementSizes[s.dtype], vectors[s.src.id][l]);
        return;
      }
      case 'scatter': {
        const on = active(s);
        const to = index[s.base.id] + s.displacement;
        for (let l = 0; l < lanes; l++)
          if (on(l)) write(s.dtype, to + Number(vectors[s.indices.id][l]) * elementSizes[s.dtype], vectors[s.src.id][l]);
        return;
      }
      case 'swap':
        fill(s.dst, (l) => vectors[s.src.id][l ^ s.distance]);
        return;
      case 'splat-lane':
        fill(s.dst, () => vectors[s.src.id][0]);
        return;
      case 'extract':
        index[s.dst.id] = Number(vectors[s.src.id][0]);
        return;
      case 'mask-test': {
        const mask = vectors[s.src.id];
        index[s.dst.id] = (s.test === 'any' ? mask.some((m) => m === true) : mask.every((m) => m === true)) ? 1 : 0;
        return;
      }
      case 'assign':
        if (s.dst.type === 'index') index[s.dst.id] = index[s.src.id];
        else vectors[s.dst.id] = vectors[s.src.id];
        return;
      case 'loop': {
        const to = operand(s.to);
        for (let i = operand(s.from); i < to; i += s.step) {
          index[s.counter.id] = i;
          block(s.body);
        }
        return;
      }
      case 'if':
        block(scalarReference(s.op, 'index')(operand(s.a), operand(s.b), 0) ? s.then : s.else);
        return;
      default:
        s satisfies never;
    }
  }
  block(kernel.body);
}
