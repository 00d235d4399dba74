/**
 * The unpickler: a pickle machine that makes plain data and calls nothing but the functions of an allow-list (`globals.ts`).
 *
 * It knows the opcodes that Python's pickler writes for protocols 2 to 5, less those for classes of one's own. Lengths are compared with what is
 * left of the file, stacks are checked, and nothing recurses: the worst that a hostile file can get is an error.
 *
 * Source: https://github.com/python/cpython/blob/main/Lib/pickletools.py (the opcodes),
 * https://github.com/pytorch/pytorch/blob/main/torch/_weights_only_unpickler.py (what may be called, the texts)
 */

import { Tensor } from '../../ops/methods.ts';
import type { Cursor } from './cursor.ts';
import { UnpicklingError } from './errors.ts';
import { decodeInteger, decodeText } from './scalars.ts';
import { Dict, finish, isSize, type Made, PythonName, PythonObject } from './values.ts';

/** A name that a file may call. */
export class Callable {
  readonly path: string;
  readonly call: (args: readonly unknown[], made: MadeList) => unknown;
  constructor(path: string, call: Callable['call']) {
    this.path = path;
    this.call = call;
  }
}

/** Containers and tuples that a file has made; functions of the allow-list add theirs. */
export interface MadeList {
  readonly containers: Made[];
}

export interface UnpickleOptions {
  /** What a name stands for; throws for one that is not allowed. */
  readonly find: (module: string, name: string) => unknown;
  /** The storage that an id names. */
  readonly persistent: (id: unknown) => unknown;
  /** Old files of whole modules name each class with its source (`('module', class, file, source)`): taken for the class. */
  readonly classes?: boolean;
  /** What a value other than a container becomes for the user. */
  readonly leaf?: (x: unknown) => unknown;
}

/** Names of Python 2, which protocol 2 writes. */
const oldModules: Readonly<Record<string, string>> = { __builtin__: 'builtins', copy_reg: 'copyreg', cPickle: 'pickle' };

/** Reads one pickle; the cursor is then behind it. */
export function unpickle(cursor: Cursor, options: UnpickleOptions): unknown {
  const machine = new Machine(cursor, options);
  return finish(machine.run(), machine.containers, machine.tuples, machine.consumed, options.leaf ?? ((x) => x));
}

class Machine implements MadeList {
  readonly containers: Made[] = [];
  readonly tuples: Set<unknown[]> = new Set();
  /** Argument lists of calls. */
  readonly consumed: Set<unknown> = new Set();
  readonly #cursor: Cursor;
  readonly #options: UnpickleOptions;
  readonly #marks: unknown[][] = [];
  readonly #memo: Map<number, unknown> = new Map();
  /** Containers and memo entries that a pickle of this length may make: they take more memory than the bytes that ask for them. */
  readonly #most: { readonly containers: number; readonly memo: number };
  #stack: unknown[] = [];

  constructor(cursor: Cursor, options: UnpickleOptions) {
    this.#cursor = cursor;
    this.#options = options;
    this.#most = { containers: leastContainers + cursor.left / 64, memo: leastContainers + cursor.left / 16 };
  }

  run(): unknown {
    for (;;) {
      const op = this.#cursor.byte();
      if (op === 0x2e) return this.#pop();
      this.#step(op);
    }
  }

  #step(op: number): void {
    const c = this.#cursor;
    switch (op) {
      // Frame of the protocol
      case 0x80: // PROTO
        if (c.byte() > 5) throw new UnpicklingError('unsupported pickle protocol');
        return;
      case 0x95: // FRAME: a hint for readers of streams
        c.uint64();
        return;

      // Constants
      case 0x4e: // NONE
        this.#push(null);
        return;
      case 0x88: // NEWTRUE
        this.#push(true);
        return;
      case 0x89: // NEWFALSE
        this.#push(false);
        return;
      case 0x4b: // BININT1
        this.#push(c.byte());
        return;
      case 0x4d: // BININT2
        this.#push(c.uint16());
        return;
      case 0x4a: // BININT
        this.#push(c.int32());
        return;
      case 0x8a: // LONG1
        this.#push(decodeInteger(c.read(c.byte())));
        return;
      case 0x8b: // LONG4
        this.#push(decodeInteger(c.read(c.uint32())));
        return;
      case 0x47: {
        // BINFLOAT, big endian
        const b = c.read(8);
        this.#push(new DataView(b.buffer, b.byteOffset, 8).getFloat64(0));
        return;
      }
      case 0x8c: // SHORT_BINUNICODE
        this.#push(decodeText(c.read(c.byte())));
        return;
      case 0x58: // BINUNICODE
        this.#push(decodeText(c.read(c.uint32())));
        return;
      case 0x8d: // BINUNICODE8
        this.#push(decodeText(c.read(c.uint64())));
        return;
      case 0x55: // SHORT_BINSTRING: a str of Python 2, read as text as torch.load does
        this.#push(decodeText(c.read(c.byte())));
        return;
      case 0x54: // BINSTRING
        this.#push(decodeText(c.read(c.uint32())));
        return;
      case 0x43: // SHORT_BINBYTES
        this.#push(c.read(c.byte()).slice());
        return;
      case 0x42: // BINBYTES
        this.#push(c.read(c.uint32()).slice());
        return;
      case 0x8e: // BINBYTES8
      case 0x96: // BYTEARRAY8
        this.#push(c.read(c.uint64()).slice());
        return;

      // Containers
      case 0x29: // EMPTY_TUPLE
        this.#push(this.#tuple([]));
        return;
      case 0x85: // TUPLE1
        this.#push(this.#tuple(this.#popMany(1)));
        return;
      case 0x86: // TUPLE2
        this.#push(this.#tuple(this.#popMany(2)));
        return;
      case 0x87: // TUPLE3
        this.#push(this.#tuple(this.#popMany(3)));
        return;
      case 0x74: // TUPLE
        this.#push(this.#tuple(this.#popMark()));
        return;
      case 0x5d: // EMPTY_LIST
        this.#push(this.#made([]));
        return;
      case 0x6c: // LIST
        this.#push(this.#made(this.#popMark()));
        return;
      case 0x61: // APPEND
        this.#append(this.#popMany(1), 'append to');
        return;
      case 0x65: // APPENDS
        this.#append(this.#popMark(), 'extend');
        return;
      case 0x7d: // EMPTY_DICT
        this.#push(this.#made(new Dict('dict')));
        return;
      case 0x64: {
        // DICT
        const items = this.#popMark();
        this.#push(this.#made(new Dict('dict')));
        this.#setItems(items, 'DICT');
        return;
      }
      case 0x73: // SETITEM
        this.#setItems(this.#popMany(2), 'SETITEM');
        return;
      case 0x75: // SETITEMS
        this.#setItems(this.#popMark(), 'SETITEMS');
        return;
      case 0x8f: // EMPTY_SET
        this.#push(this.#made(new Set()));
        return;
      case 0x90: {
        // ADDITEMS
        const items = this.#popMark();
        const set = this.#top();
        if (!(set instanceof Set)) throw new UnpicklingError(`Can only add to sets, but got ${typeName(set)}`);
        for (const item of items) set.add(this.#hashable(item));
        return;
      }
      case 0x91: // FROZENSET
        this.#push(this.#made(new Set(this.#popMark().map((x) => this.#hashable(x)))));
        return;

      // Stack and memo
      case 0x28: // MARK
        this.#marks.push(this.#stack);
        this.#stack = [];
        return;
      case 0x30: // POP
        if (this.#stack.length === 0) this.#popMark();
        else this.#pop();
        return;
      case 0x31: // POP_MARK
        this.#popMark();
        return;
      case 0x32: // DUP
        this.#push(this.#top());
        return;
      case 0x68: // BINGET
        this.#get(c.byte());
        return;
      case 0x6a: // LONG_BINGET
        this.#get(c.uint32());
        return;
      case 0x71: // BINPUT
        this.#memoize(c.byte());
        return;
      case 0x72: // LONG_BINPUT
        this.#memoize(c.uint32());
        return;
      case 0x94: // MEMOIZE
        this.#memoize(this.#memo.size);
        return;

      // Names and what they make
      case 0x63: {
        // GLOBAL
        const module = c.line();
        this.#push(this.#find(module, c.line()));
        return;
      }
      case 0x93: {
        // STACK_GLOBAL
        const [module, name] = this.#popMany(2);
        if (typeof module !== 'string' || typeof name !== 'string') throw new UnpicklingError('STACK_GLOBAL requires str');
        this.#push(this.#find(module, name));
        return;
      }
      case 0x51: // BINPERSID
        this.#push(this.#persistent(this.#pop()));
        return;
      case 0x52: {
        // REDUCE
        const [callable, args] = this.#popMany(2);
        if (!(callable instanceof Callable))
          throw new UnpicklingError(`Trying to call reduce for unrecognized function ${describe(callable)}`);
        this.#push(callable.call(this.#arguments(args), this));
        return;
      }
      case 0x81: {
        // NEWOBJ
        const [type, args] = this.#popMany(2);
        this.#push(this.#construct(type, args));
        return;
      }
      case 0x92: {
        // NEWOBJ_EX
        const [type, args, named] = this.#popMany(3);
        if (!(named instanceof Dict) || named.map.size > 0) throw new UnpicklingError(`Unsupported operand ${op}`);
        this.#push(this.#construct(type, args));
        return;
      }
      case 0x62: // BUILD
        this.#build(this.#pop());
        return;
      default:
        throw new UnpicklingError(`Unsupported operand ${op}`);
    }
  }

  // ---- stack

  #push(x: unknown): void {
    this.#stack.push(x);
  }
  #pop(): unknown {
    if (this.#stack.length === 0) throw underflow();
    return this.#stack.pop();
  }
  #popMany(count: number): unknown[] {
    if (this.#stack.length < count) throw underflow();
    return this.#stack.splice(this.#stack.length - count, count);
  }
  #top(): unknown {
    if (this.#stack.length === 0) throw underflow();
    return this.#stack[this.#stack.length - 1];
  }
  #popMark(): unknown[] {
    const below = this.#marks.pop();
    if (below === undefined) throw new UnpicklingError('could not find MARK');
    const items = this.#stack;
    this.#stack = below;
    return items;
  }
  #memoize(index: number): void {
    this.#memo.set(index, this.#top());
    if (this.#memo.size > this.#most.memo) throw tooMany('memo entries', this.#memo.size);
  }
  #get(index: number): void {
    if (!this.#memo.has(index)) throw new UnpicklingError(`Memo value not found at index ${index}`);
    this.#push(this.#memo.get(index));
  }

  // ---- containers

  #made<T extends Made>(x: T): T {
    this.containers.push(x);
    if (this.containers.length > this.#most.containers) throw tooMany('lists, tuples, dicts and sets', this.containers.length);
    return x;
  }
  #tuple(items: unknown[]): unknown[] {
    this.tuples.add(items);
    return this.#made(items);
  }
  #isList(x: unknown): x is unknown[] {
    return Array.isArray(x) && !this.tuples.has(x) && !isSize(x);
  }
  #append(items: readonly unknown[], verb: string): void {
    const list = this.#top();
    if (list instanceof PythonObject) {
      list.items ??= this.#made([]);
      if (!Array.isArray(list.items)) throw new UnpicklingError(`Can only ${verb} lists, but got ${typeName(list)}`);
      for (const item of items) list.items.push(item);
      return;
    }
    if (!this.#isList(list)) throw new UnpicklingError(`Can only ${verb} lists, but got ${typeName(list)}`);
    for (const item of items) list.push(item);
  }
  #setItems(items: readonly unknown[], opcode: string): void {
    let target = this.#top();
    if (target instanceof PythonObject) {
      target.items ??= this.#made(new Dict('dict'));
      target = target.items;
    }
    if (!(target instanceof Dict))
      throw new UnpicklingError(
        `Can only ${opcode} for dict, collections.OrderedDict, collections.Counter, but got ${typeName(this.#top())}`,
      );
    if (items.length % 2 !== 0) throw new UnpicklingError('odd number of items for SETITEMS');
    for (let i = 0; i < items.length; i += 2) target.map.set(this.#hashable(items[i]), items[i + 1]);
  }
  #hashable(x: unknown): unknown {
    if (x instanceof Dict || x instanceof Set || this.#isList(x)) throw new UnpicklingError(`unhashable type: ${typeName(x).slice(7, -1)}`);
    return x;
  }

  // ---- names

  #find(module: string, name: string): unknown {
    return this.#options.find(oldModules[module] ?? module, name);
  }
  #persistent(id: unknown): unknown {
    if (!(Array.isArray(id) && this.tuples.has(id)) && !Number.isInteger(id))
      throw new UnpicklingError(`persistent_load id must be tuple or int, but got ${typeName(id)}`);
    if (this.#options.classes === true && Array.isArray(id) && id[0] === 'module') return id[1];
    if (Array.isArray(id) && id.length > 0 && id[0] !== 'storage')
      throw new UnpicklingError(`Only persistent_load of storage is allowed, but got ${typeName(id[0])}`);
    return this.#options.persistent(id);
  }
  #arguments(args: unknown): readonly unknown[] {
    if (!(Array.isArray(args) && this.tuples.has(args))) throw new UnpicklingError('argument list must be a tuple');
    this.consumed.add(args);
    return args;
  }
  #construct(type: unknown, args: unknown): unknown {
    if (!(type instanceof Callable))
      throw new UnpicklingError(
        `Can only create new object for nn.Parameter or classes allowlisted via \`add_safe_globals\` but got ${describe(type)}`,
      );
    const made = type.call(this.#arguments(args), this);
    if (made instanceof PythonObject) made.isNew = true;
    return made;
  }
  #build(state: unknown): void {
    const target = this.#top();
    if (target instanceof Dict && target.kind !== 'dict') target.attributes = state;
    else if (target instanceof PythonObject) target.state = state;
    else
      throw new UnpicklingError(
        `Can only build Tensor, Parameter, OrderedDict or types allowlisted via \`add_safe_globals\`, but got ${typeName(target)}`,
      );
  }
}

const leastContainers = 1 << 20;
const tooMany = (what: string, count: number): UnpicklingError =>
  new UnpicklingError(`more than ${count - 1} ${what}, which take more memory than a file of this size should`);

const underflow = (): UnpicklingError => new UnpicklingError('unpickling stack underflow');

/** `<class 'list'>`, as Python prints a type. */
export function typeName(x: unknown): string {
  const name = ((): string => {
    if (x === null) return 'NoneType';
    if (typeof x === 'boolean') return 'bool';
    if (typeof x === 'string') return 'str';
    if (typeof x === 'bigint' || Number.isInteger(x)) return 'int';
    if (typeof x === 'number') return 'float';
    if (Array.isArray(x)) return 'list';
    if (x instanceof Dict) return x.kind === 'dict' ? 'dict' : `collections.${x.kind}`;
    if (x instanceof Set) return 'set';
    if (x instanceof Uint8Array) return 'bytes';
    if (x instanceof Tensor) return 'torch.Tensor';
    if (x instanceof PythonObject) return x.type;
    return 'type';
  })();
  return `<class '${name}'>`;
}
const describe = (x: unknown): string => (x instanceof Callable || x instanceof PythonName ? x.path : typeName(x));
