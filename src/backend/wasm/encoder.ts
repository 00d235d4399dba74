/**
 * A WebAssembly binary encoder: module sections, functions with typed locals, structured control and the instructions of `opcodes.ts`.
 *
 * `ModuleBuilder` collects imports, functions and exports and writes the sections in one go; `FunctionBuilder` appends instructions to
 * a body. Labels are objects, and the branch depth is computed, so emitters never count nested blocks. Nothing is checked here beyond
 * what TypeScript's types say: the engine's validator is the judge, and it is strict.
 */
import {
  type LaneOp,
  laneOps,
  type MemoryLaneOp,
  type MemoryOp,
  memoryLaneOps,
  memoryOps,
  type PlainOp,
  plainOps,
  type ValueType,
  valueTypes,
} from './opcodes.ts';

/** Bytes that grow, with the number encodings of the format. */
export class ByteSink {
  #bytes = new Uint8Array(256);
  #length = 0;

  get length(): number {
    return this.#length;
  }
  #room(count: number): void {
    const needed = this.#length + count;
    if (needed <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = grown;
  }
  byte(value: number): void {
    this.#room(1);
    this.#bytes[this.#length++] = value;
  }
  bytes(values: ArrayLike<number>): void {
    this.#room(values.length);
    this.#bytes.set(values, this.#length);
    this.#length += values.length;
  }
  /** LEB128 of a number in [0, 2^53). */
  unsigned(value: number): void {
    let rest = value;
    while (rest >= 128) {
      this.byte((rest % 128) + 128);
      rest = Math.floor(rest / 128);
    }
    this.byte(rest);
  }
  /** Signed LEB128 of an int32. */
  signed(value: number): void {
    let rest = value | 0;
    for (;;) {
      const low = rest & 127;
      rest >>= 7;
      if ((rest === 0 && (low & 64) === 0) || (rest === -1 && (low & 64) !== 0)) {
        this.byte(low);
        return;
      }
      this.byte(low | 128);
    }
  }
  /** Signed LEB128 of an int64. */
  signed64(value: bigint): void {
    let rest = BigInt.asIntN(64, value);
    for (;;) {
      const low = Number(rest & 127n);
      rest >>= 7n;
      if ((rest === 0n && (low & 64) === 0) || (rest === -1n && (low & 64) !== 0)) {
        this.byte(low);
        return;
      }
      this.byte(low | 128);
    }
  }
  opcode(code: number): void {
    if (code < 0x100) {
      this.byte(code);
    } else {
      this.byte(code >>> 20);
      this.unsigned(code & 0xfffff);
    }
  }
  /** Length-prefixed UTF-8. */
  text(value: string): void {
    const encoded = new TextEncoder().encode(value);
    this.unsigned(encoded.length);
    this.bytes(encoded);
  }
  /** Length-prefixed contents of another sink. */
  nested(other: ByteSink): void {
    this.unsigned(other.#length);
    this.bytes(other.view());
  }
  view(): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(0, this.#length);
  }
}

/** The target of a branch: the end of a block or the head of a loop. */
export interface Label {
  readonly depth: number;
}

const scratchBits = new DataView(new ArrayBuffer(8));

/** One function's body. Methods append; a value that an instruction takes is already on the stack. */
export class FunctionBuilder {
  readonly index: number;
  readonly #parameters: number;
  readonly #locals: ValueType[] = [];
  readonly #head = new ByteSink();
  readonly #body = new ByteSink();
  #code = this.#body;
  #depth = 0;

  constructor(index: number, parameters: number) {
    this.index = index;
    this.#parameters = parameters;
  }

  local(type: ValueType): number {
    this.#locals.push(type);
    return this.#parameters + this.#locals.length - 1;
  }
  /** Code that runs once, before the body, whenever it is written: constants that loops shouldn't make again. */
  prologue(fill: () => void): void {
    const saved = this.#code;
    this.#code = this.#head;
    fill();
    this.#code = saved;
  }
  get(local: number): void {
    this.#code.byte(0x20);
    this.#code.unsigned(local);
  }
  set(local: number): void {
    this.#code.byte(0x21);
    this.#code.unsigned(local);
  }
  tee(local: number): void {
    this.#code.byte(0x22);
    this.#code.unsigned(local);
  }

  op(name: PlainOp): void {
    this.#code.opcode(plainOps[name]);
  }
  /** Alignment is a hint only; we claim one byte, because views may start anywhere. */
  memory(name: MemoryOp, offset = 0): void {
    this.#code.opcode(memoryOps[name][0]);
    this.#code.byte(0);
    this.#code.unsigned(offset);
  }
  lane(name: LaneOp, lane: number): void {
    this.#code.opcode(laneOps[name]);
    this.#code.byte(lane);
  }
  memoryLane(name: MemoryLaneOp, lane: number, offset = 0): void {
    this.#code.opcode(memoryLaneOps[name][0]);
    this.#code.byte(0);
    this.#code.unsigned(offset);
    this.#code.byte(lane);
  }
  /** Bytes 0-15 pick from the first operand, 16-31 from the second. */
  shuffle(lanes: readonly number[]): void {
    if (lanes.length !== 16) throw new Error('internal: a shuffle needs 16 byte indices');
    this.#code.opcode(0xfd0000d);
    this.#code.bytes(lanes);
  }

  i32(value: number): void {
    this.#code.byte(0x41);
    this.#code.signed(value);
  }
  i64(value: bigint): void {
    this.#code.byte(0x42);
    this.#code.signed64(value);
  }
  f32(value: number): void {
    scratchBits.setFloat32(0, value, true);
    this.#code.byte(0x43);
    this.#code.bytes(new Uint8Array(scratchBits.buffer, 0, 4));
  }
  f64(value: number): void {
    scratchBits.setFloat64(0, value, true);
    this.#code.byte(0x44);
    this.#code.bytes(new Uint8Array(scratchBits.buffer, 0, 8));
  }
  v128(bytes: Uint8Array): void {
    if (bytes.length !== 16) throw new Error('internal: a v128 constant needs 16 bytes');
    this.#code.opcode(0xfd0000c);
    this.#code.bytes(bytes);
  }
  memoryCopy(): void {
    this.#code.bytes([0xfc, 10, 0, 0]);
  }
  memoryFill(): void {
    this.#code.bytes([0xfc, 11, 0]);
  }

  #structured(opcode: number, result: ValueType | null, body: (label: Label) => void): void {
    this.#code.byte(opcode);
    this.#code.byte(result === null ? 0x40 : valueTypes[result]);
    this.#depth++;
    body({ depth: this.#depth });
    this.#depth--;
    this.#code.byte(0x0b);
  }
  /** A branch to the label leaves the block. */
  block(body: (label: Label) => void, result: ValueType | null = null): void {
    this.#structured(0x02, result, body);
  }
  /** A branch to the label starts the next iteration. */
  loop(body: (label: Label) => void, result: ValueType | null = null): void {
    this.#structured(0x03, result, body);
  }
  if(then: (label: Label) => void, otherwise: ((label: Label) => void) | null = null, result: ValueType | null = null): void {
    this.#structured(0x04, result, (label) => {
      then(label);
      if (otherwise !== null) {
        this.#code.byte(0x05);
        otherwise(label);
      }
    });
  }
  br(label: Label): void {
    this.#code.byte(0x0c);
    this.#code.unsigned(this.#depth - label.depth);
  }
  brIf(label: Label): void {
    this.#code.byte(0x0d);
    this.#code.unsigned(this.#depth - label.depth);
  }
  call(functionIndex: number): void {
    this.#code.byte(0x10);
    this.#code.unsigned(functionIndex);
  }

  /** Locals (runs of one type are merged), code and the final `end`, length-prefixed. */
  write(sink: ByteSink): void {
    const body = new ByteSink();
    const runs: { type: ValueType; count: number }[] = [];
    for (const type of this.#locals) {
      const last = runs[runs.length - 1];
      if (last !== undefined && last.type === type) last.count++;
      else runs.push({ type, count: 1 });
    }
    body.unsigned(runs.length);
    for (const { type, count } of runs) {
      body.unsigned(count);
      body.byte(valueTypes[type]);
    }
    body.bytes(this.#head.view());
    body.bytes(this.#body.view());
    body.byte(0x0b);
    sink.nested(body);
  }
}

/** In pages of 64 KiB. `shared` needs a maximum. */
export interface MemoryLimits {
  readonly initial: number;
  readonly maximum: number | null;
  readonly shared: boolean;
}

export class ModuleBuilder {
  readonly #types: string[] = [];
  readonly #typeBytes: number[][] = [];
  readonly #imports: { module: string; name: string; type: number }[] = [];
  #memoryImport: { module: string; name: string; limits: MemoryLimits } | null = null;
  readonly #functions: { type: number; builder: FunctionBuilder }[] = [];
  readonly #exports: { name: string; index: number }[] = [];

  #type(parameters: readonly ValueType[], results: readonly ValueType[]): number {
    const key = `${parameters.join(',')}>${results.join(',')}`;
    const found = this.#types.indexOf(key);
    if (found >= 0) return found;
    this.#types.push(key);
    const codes = (types: readonly ValueType[]): number[] => [types.length, ...types.map((type) => valueTypes[type])];
    this.#typeBytes.push([0x60, ...codes(parameters), ...codes(results)]);
    return this.#types.length - 1;
  }

  importMemory(module: string, name: string, limits: MemoryLimits): void {
    this.#memoryImport = { module, name, limits };
  }
  /** Imported functions come before defined ones in the index space, so import first. */
  importFunction(module: string, name: string, parameters: readonly ValueType[], results: readonly ValueType[]): number {
    if (this.#functions.length > 0) throw new Error('internal: import functions before defining any');
    this.#imports.push({ module, name, type: this.#type(parameters, results) });
    return this.#imports.length - 1;
  }
  /** Defines a function; with a name it is exported. Returns its index, for `call`. */
  function(
    name: string | null,
    parameters: readonly ValueType[],
    results: readonly ValueType[],
    body: (builder: FunctionBuilder) => void,
  ): number {
    const index = this.#imports.length + this.#functions.length;
    const builder = new FunctionBuilder(index, parameters.length);
    this.#functions.push({ type: this.#type(parameters, results), builder });
    if (name !== null) this.#exports.push({ name, index });
    body(builder);
    return index;
  }

  finish(): Uint8Array<ArrayBuffer> {
    const out = new ByteSink();
    out.bytes([0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00]);
    const section = (id: number, count: number, fill: (sink: ByteSink) => void): void => {
      if (count === 0) return;
      const contents = new ByteSink();
      contents.unsigned(count);
      fill(contents);
      out.byte(id);
      out.nested(contents);
    };
    section(1, this.#typeBytes.length, (sink) => {
      for (const bytes of this.#typeBytes) sink.bytes(bytes);
    });
    const memory = this.#memoryImport;
    section(2, this.#imports.length + (memory === null ? 0 : 1), (sink) => {
      for (const { module, name, type } of this.#imports) {
        sink.text(module);
        sink.text(name);
        sink.byte(0x00);
        sink.unsigned(type);
      }
      if (memory === null) return;
      const { initial, maximum, shared } = memory.limits;
      sink.text(memory.module);
      sink.text(memory.name);
      sink.byte(0x02);
      sink.byte((maximum === null ? 0 : 1) | (shared ? 2 : 0));
      sink.unsigned(initial);
      if (maximum !== null) sink.unsigned(maximum);
    });
    section(3, this.#functions.length, (sink) => {
      for (const { type } of this.#functions) sink.unsigned(type);
    });
    section(7, this.#exports.length, (sink) => {
      for (const { name, index } of this.#exports) {
        sink.text(name);
        sink.byte(0x00);
        sink.unsigned(index);
      }
    });
    section(10, this.#functions.length, (sink) => {
      for (const { builder } of this.#functions) builder.write(sink);
    });
    return out.view().slice();
  }
}
