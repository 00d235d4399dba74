/**
 * Printer of the vector IR, for debug flags and test failures. One line per statement; the text is not parsed back.
 */
import type { Address, IndexOperand, Register, VectorKernel, VectorStatement } from './vector-ir.ts';

const prefixes = { f32: 's', f64: 'd', i32: 'w', i64: 'q', mask: 'k', index: 'r' } as const;
const name = (r: Register): string => `${prefixes[r.type]}${r.id}`;
const operand = (o: IndexOperand): string => (typeof o === 'number' ? String(o) : name(o));

function place(a: Address): string {
  const index = a.index === null ? '' : ` + ${name(a.index)}*${a.scale}`;
  const displacement = a.displacement === 0 ? '' : a.displacement < 0 ? ` - ${-a.displacement}` : ` + ${a.displacement}`;
  return `[${name(a.base)}${index}${displacement}]`;
}
function lanes(count: IndexOperand | null, mask: Register | null): string {
  return (count === null ? '' : ` first ${operand(count)}`) + (mask === null ? '' : ` where ${name(mask)}`);
}

/** One statement, nested bodies included, with a line end. */
export function printVectorStatement(s: VectorStatement, indent = ''): string {
  const line = (text: string): string => `${indent}${text}\n`;
  const inner = `${indent}  `;
  const block = (body: readonly VectorStatement[]): string => body.map((b) => printVectorStatement(b, inner)).join('');
  switch (s.kind) {
    case 'buffer':
      return line(`${name(s.dst)} = buffer ${s.slot}`);
    case 'param':
      return line(`${name(s.dst)} = param ${s.slot}`);
    case 'index-const':
      return line(`${name(s.dst)} = ${s.value}`);
    case 'splat-const':
      return line(`${name(s.dst)} = splat ${Object.is(s.value, -0) ? '-0' : String(s.value)}`);
    case 'index':
      return line(`${name(s.dst)} = ${s.op} ${s.args.map(operand).join(', ')}`);
    case 'address':
      return line(`${name(s.dst)} = address ${place(s.address)}`);
    case 'load-index':
      return line(`${name(s.dst)} = load-index ${s.dtype} ${place(s.address)}`);
    case 'splat':
    case 'cast':
    case 'bitcast':
    case 'splat-lane':
    case 'extract':
      return line(`${name(s.dst)} = ${s.kind} ${name(s.src)}`);
    case 'iota':
      return line(`${name(s.dst)} = iota ${operand(s.src)}`);
    case 'lane-mask':
      return line(`${name(s.dst)} = lane-mask ${operand(s.count)}`);
    case 'vector':
      return line(`${name(s.dst)} = ${s.op} ${s.args.map(name).join(', ')}`);
    case 'round':
      return line(`${name(s.dst)} = round ${s.dtype} ${name(s.src)}`);
    case 'load':
      return line(`${name(s.dst)} = load ${s.dtype} ${place(s.address)}${lanes(s.count, s.mask)}`);
    case 'broadcast':
      return line(`${name(s.dst)} = broadcast ${s.dtype} ${place(s.address)}`);
    case 'gather':
      return line(`${name(s.dst)} = gather ${s.dtype} [${name(s.base)} + ${s.displacement} + ${name(s.indices)}]${lanes(null, s.mask)}`);
    case 'store':
      return line(`store ${s.dtype} ${place(s.address)}, ${name(s.src)}${lanes(s.count, s.mask)}`);
    case 'scatter':
      return line(`scatter ${s.dtype} [${name(s.base)} + ${s.displacement} + ${name(s.indices)}], ${name(s.src)}${lanes(null, s.mask)}`);
    case 'swap':
      return line(`${name(s.dst)} = swap ${s.distance} ${name(s.src)}`);
    case 'mask-test':
      return line(`${name(s.dst)} = ${s.test} ${name(s.src)}`);
    case 'assign':
      return line(`${name(s.dst)} := ${name(s.src)}`);
    case 'loop':
      return line(`loop ${name(s.counter)} from ${operand(s.from)} to ${operand(s.to)} step ${s.step}`) + block(s.body);
    case 'if':
      return (
        line(`if ${s.op} ${operand(s.a)}, ${operand(s.b)}`) + block(s.then) + (s.else.length === 0 ? '' : `${indent}else\n${block(s.else)}`)
      );
    default:
      return s satisfies never;
  }
}

/** The whole kernel as text. */
export function printVectorKernel(kernel: VectorKernel): string {
  const head = `vector kernel ${kernel.name}, ${kernel.lanes} lanes, [${name(kernel.begin)}, ${name(kernel.end)})\n`;
  return head + kernel.body.map((s) => printVectorStatement(s, '  ')).join('');
}
