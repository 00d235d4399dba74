/**
 * A call of a compiled function: gather the program's inputs, run it, hand its outputs to whom they belong. No graph is built.
 *
 * Order: what only looks (checks, numbers of optimizers on copies of their states) comes first, then random numbers, then the program; only when
 * that has been launched do storages, tapes, gradients and states change. On a device that runs behind, nothing waits.
 */
import { noTape } from '../autograd/backward.ts';
import { Edge, type SavedValue, Tape, type EdgeTarget as TapeTarget, type Version } from '../autograd/tape.ts';
import { viewArray, viewBytes } from '../dtype/codec.ts';
import { type Buffer, Value } from '../graph/node.ts';
import type { ParameterState } from '../optim/optimizer.ts';
import { countRules } from '../optim/rule.ts';
import { leafValue, Storage, Tensor } from '../tensor/tensor.ts';
import type { Following } from './numbers.ts';
import type { CellRef, LeafRef, NewTape, Plan, Prelude, ResultForm, TapeRef, ValueRef, VersionRef } from './plan.ts';
import type { SteppedOptimizer } from './trace.ts';

/** The state of one optimizer's step that is not made yet. */
interface CountedStep {
  readonly step: SteppedOptimizer;
  readonly states: ReadonlyMap<Tensor, ParameterState>;
}

/** Looks at indices that are computed inside; throws for the first that is wrong. */
export function runPrelude(
  { engine }: Plan,
  { program, firstScalar, inputs, errors }: Prelude,
  memory: readonly Buffer[],
  symbols: Int32Array,
  scalars: readonly (number | bigint)[],
): void {
  const outputs = engine.programs.launch(program, {
    externals: inputs.map((slot) => memory[slot]),
    donors: [],
    symbols,
    scalars: scalars.slice(firstScalar),
  });
  for (const { output, error } of errors) {
    const bytes = engine.backend.read(outputs[output], 0, 8);
    const code = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigInt64(0, true));
    if (code !== 0) throw error(code);
  }
}

export class Replay {
  readonly plan: Plan;
  readonly #following: Following | null;
  readonly #externals: Buffer[];
  readonly #values: Value[];
  readonly #scalars: (number | bigint)[];
  readonly #extra: number[];
  readonly #symbols: Int32Array;
  /** Null where there is nothing to look at, or it can only be what it was. */
  readonly #prelude: Prelude | null;
  readonly #preludeSymbols: Int32Array;
  /** Data that follows from numbers: elements, and the bytes that they are. */
  readonly #data: {
    readonly at: number;
    readonly array: { [i: number]: number | bigint };
    readonly bytes: Uint8Array;
    readonly big: boolean;
  }[];
  readonly #outputs: Value[] = [];
  readonly #cells: Storage[] = [];
  readonly #tapes: Tape[] = [];
  readonly #versions: Version[] = [];
  readonly #edges: Edge[] = [];
  readonly #tensors: Tensor[] = [];
  #given: readonly Tensor[] = [];

  constructor(plan: Plan, following: Following | null) {
    this.plan = plan;
    this.#following = following;
    this.#externals = new Array<Buffer>(plan.sources.length);
    this.#values = new Array<Value>(plan.sources.length);
    this.#scalars = [...plan.varying.scalars];
    this.#extra = [...plan.varying.extra];
    this.#symbols = plan.symbols.slice();
    const { prelude } = plan;
    const moves =
      prelude !== null &&
      (prelude.inputs.length > 0 ||
        following?.numbers.some((l) => l.at >= prelude.firstNumber) ||
        following?.scalars.some((l) => l.at >= prelude.firstScalar));
    this.#prelude = moves ? prelude : null;
    this.#preludeSymbols = prelude?.symbols.slice() ?? new Int32Array(0);
    this.#data = (following?.data ?? []).map(({ at }) => {
      const { dtype } = plan.data[at].value;
      const bytes = plan.varying.data[at]!.slice();
      const array = viewArray(dtype, bytes) as unknown as { [i: number]: number | bigint };
      return { at, array, bytes: viewBytes(array as never), big: typeof array[0] === 'bigint' };
    });
  }

  /**
   * One call. `x`: values of the variable numbers. Null where it turns out that this plan will not do (nothing has changed then).
   */
  run(args: readonly unknown[], given: readonly Tensor[], x: readonly number[]): { readonly result: unknown } | null {
    const { plan } = this;
    const { engine } = plan;
    this.#given = given;
    if (engine.pendingNodes > 0) engine.flush();
    const steps = this.#countSteps();
    if (steps === null) return null;
    if (this.#following !== null) this.#place(this.#following, x);
    if (!this.#gather()) return null;
    this.#check();
    this.#draw();
    if (this.#prelude !== null) runPrelude(plan, this.#prelude, this.#externals, this.#preludeSymbols, this.#scalars);
    const { program, outputs: planned, donors } = plan;
    const buffers = engine.programs.launch(program, {
      externals: this.#externals,
      donors,
      symbols: this.#symbols,
      scalars: this.#scalars,
    });
    const outputs = this.#outputs;
    for (let i = 0; i < planned.length; i++) {
      const made = new Value(null, 0, planned[i].dtype, planned[i].size, plan.device);
      made.buffer = buffers[i];
      if (program.outputs[i].donated) this.#values[donors[i]].buffer = null;
      outputs[i] = made;
    }
    this.#commit(steps);
    const result = this.#result(plan.result, args);
    this.#forget();
    return { result };
  }

  // ---- before

  /** What optimizers will be called with; null where they would make other calls. */
  #countSteps(): CountedStep[] | null {
    const { events, rules } = this.plan;
    let steps: CountedStep[] | null = null;
    for (let e = 0; e < events.length; e++) {
      const step = events[e];
      if (step.kind !== 'step') continue;
      const states = new Map<Tensor, ParameterState>();
      for (const list of step.stepped) for (const p of list) states.set(p, { ...step.optimizer.state.get(p)! });
      const counted = countRules(() => step.optimizer.count(step.stepped, states));
      if (counted.length !== step.rules.length) return null;
      for (let i = 0; i < counted.length; i++) if (counted[i].call !== step.rules[i].call) return null;
      for (let i = 0; i < rules.length; i++) {
        const { event, at, first, count } = rules[i];
        if (event !== e) continue;
        const { numbers } = counted[at];
        for (let k = 0; k < count; k++) this.#scalars[first + k] = numbers[k];
      }
      steps ??= [];
      steps.push({ step, states });
    }
    return steps ?? [];
  }

  #place(f: Following, x: readonly number[]): void {
    for (let i = 0; i < f.scalars.length; i++) {
      const { at, variable, base, slope } = f.scalars[i];
      this.#scalars[at] = base + slope * x[variable];
    }
    for (let i = 0; i < f.extra.length; i++) {
      const { at, variable, base, slope } = f.extra[i];
      this.#extra[at] = base + slope * x[variable];
    }
    for (let i = 0; i < f.symbols.length; i++) {
      const { variable, base, slope } = f.symbols[i];
      this.#symbols[i] = base + slope * x[variable];
    }
    for (let i = 0; i < f.preludeSymbols.length; i++) {
      const { variable, base, slope } = f.preludeSymbols[i];
      this.#preludeSymbols[i] = base + slope * x[variable];
    }
    for (let i = 0; i < f.data.length; i++) {
      const { array, big } = this.#data[i];
      const { lines } = f.data[i];
      for (let k = 0; k < lines.length; k++) {
        const { at, variable, base, slope } = lines[k];
        const value = base + slope * x[variable];
        array[at] = big ? BigInt(value) : value;
      }
    }
  }

  #gather(): boolean {
    const { plan } = this;
    const { sources, engine, donors } = plan;
    const values = this.#values;
    const externals = this.#externals;
    for (let i = 0; i < sources.length; i++) {
      const source = sources[i];
      let value: Value;
      if (source.kind === 'held') value = source.storage.value;
      else if (source.kind === 'argument') value = this.#given[source.at].storage.value;
      else if (source.kind === 'data') value = this.#dataValue(source.at);
      else if (source.kind === 'gradient') value = this.#leaf(source.of).grad_!.storage.value;
      else if (source.kind === 'draw') continue;
      else throw new Error('internal: a program reads what the call makes');
      values[i] = value;
      externals[i] = value.buffer ?? engine.materialize(value);
    }
    // Somebody's tape holds what would be written over: plain code gives it other memory.
    for (let i = 0; i < donors.length; i++)
      if (donors[i] >= 0 && values[donors[i]] !== undefined && values[donors[i]].savedBy > 0) return false;
    return true;
  }
  #dataValue(at: number): Value {
    const { value, shown } = this.plan.data[at];
    for (let i = 0; i < this.#data.length; i++) {
      if (this.#data[i].at !== at) continue;
      const { backend } = this.plan.engine;
      if (!shown) {
        backend.write(value.buffer!, this.#data[i].bytes);
        return value;
      }
      const fresh = leafValue(value.dtype, value.size, value.device);
      fresh.buffer = backend.allocate(this.#data[i].bytes.byteLength);
      backend.write(fresh.buffer, this.#data[i].bytes);
      return fresh;
    }
    return value;
  }

  #check(): void {
    const { checks, engine } = this.plan;
    if (checks.length === 0 || engine.backend.name.startsWith('cuda')) return;
    for (let i = 0; i < checks.length; i++) {
      const { external, view, offset, look } = checks[i];
      const value = this.#values[external];
      const { visible } = value;
      look(new Tensor(new Storage(value), view, this.#extra[offset], noTape()));
      value.visible = visible;
    }
  }

  #draw(): void {
    const { events, sources } = this.plan;
    let drawn: (Value | null)[] | null = null;
    for (let e = 0; e < events.length; e++) {
      const event = events[e];
      if (event.kind !== 'draw') continue;
      drawn ??= new Array<Value | null>(events.length).fill(null);
      drawn[e] = event.make().storage.value;
    }
    if (drawn === null) return;
    for (let i = 0; i < sources.length; i++) {
      const source = sources[i];
      if (source.kind !== 'draw') continue;
      this.#values[i] = drawn[source.event]!;
      this.#externals[i] = this.#values[i].buffer!;
    }
  }

  // ---- after

  #commit(steps: readonly CountedStep[]): void {
    const { plan } = this;
    const { cells, writes, counts, edges, tapes, tapeWrites, versions, tensors, gradients, events } = plan;
    for (const { from, count } of cells) {
      const cell = new Storage(this.#value(from));
      cell.count = count;
      this.#cells.push(cell);
    }
    for (const count of versions) this.#versions.push({ count });
    // Storages from before are looked up before any gradient is replaced.
    const written = writes.map(({ cell }) => this.#cell(cell));
    for (let i = 0; i < written.length; i++) {
      const storage = written[i];
      storage.value.visible = false;
      storage.value = this.#outputs[writes[i].output];
      storage.value.visible = true;
    }
    for (let i = 0; i < counts.length; i++) this.#version(counts[i].version).count += counts[i].by;
    if (edges.length > 0) this.#makeEdges();
    for (const tape of tapes) this.#tapes.push(this.#newTape(tape));
    for (const { tape, to } of tapeWrites) {
      const now = this.#tape(tape);
      const next = to === null ? noTape() : this.#newTape(to);
      now.edge = next.edge;
      now.output = next.output;
      now.base = next.base;
    }
    for (let i = 0; i < tensors.length; i++) {
      const { cell, view, offset, tape, version, sibling } = tensors[i];
      const storage = this.#cell(cell);
      const t = new Tensor(storage, view, this.#extra[offset], this.#tape(tape), version === null ? storage : this.#version(version));
      t.sibling = sibling;
      this.#tensors.push(t);
    }
    for (let i = 0; i < gradients.length; i++) {
      const { leaf, tensor, seen } = gradients[i];
      const t = this.#leaf(leaf);
      t.grad_ = tensor === null ? null : this.#tensors[tensor];
      t.gradSeen = seen;
    }
    for (const { step, states } of steps) for (const [p, state] of states) Object.assign(step.optimizer.state.get(p)!, state);
    for (const event of events) if (event.kind === 'library') event.work();
  }

  /** The trace's edges over this call's values, oldest first. */
  #makeEdges(): void {
    const { edges, edgeOrder } = this.plan;
    for (const at of edgeOrder) {
      const { name, signature, outputs, params, targets, saved } = edges[at];
      const numbers = 'first' in params ? this.#scalars.slice(params.first, params.first + params.count) : params;
      const gradientsTo = targets.map((t): TapeTarget | null => {
        if (t === null) return null;
        const { view, offset } = t;
        if (t.edge >= 0) return { edge: this.#edges[t.edge], output: t.output, base: t.base, view, offset };
        const tape = this.#tape(t.tape!);
        return { edge: tape.edge!, output: tape.output, base: tape.base!, view, offset };
      });
      const held = saved?.map((s): SavedValue => {
        const value = this.#value(s.value);
        value.savedBy++;
        const version = s.version === null ? null : this.#version(s.version);
        return { value, view: s.view, offset: s.offset, version, count: version === null ? 0 : version.count - s.behind, tape: null };
      });
      const made = new Edge(name, outputs, signature, gradientsTo, numbers, held ?? null);
      this.#edges[at] = made;
    }
  }

  #value(ref: ValueRef): Value {
    return 'output' in ref ? this.#outputs[ref.output] : this.#values[ref.external];
  }
  #leaf(ref: LeafRef): Tensor {
    return typeof ref === 'number' ? this.#given[ref] : ref;
  }
  #cell(ref: CellRef): Storage {
    switch (ref.kind) {
      case 'argument':
        return this.#given[ref.at].storage;
      case 'held':
        return ref.storage;
      case 'gradient':
        return this.#leaf(ref.of).grad_!.storage;
      case 'new':
        return this.#cells[ref.at];
      default:
        return ref satisfies never;
    }
  }
  #version(ref: VersionRef): Version {
    switch (ref.kind) {
      case 'cell':
        return this.#cell(ref.cell);
      case 'argument':
        return this.#given[ref.at].version;
      case 'held':
        return ref.version;
      case 'new':
        return this.#versions[ref.at];
      default:
        return ref satisfies never;
    }
  }
  #newTape({ edge, output, base }: NewTape): Tape {
    return new Tape(this.#edges[edge], output, base);
  }
  #tape(ref: TapeRef): Tape {
    switch (ref.kind) {
      case 'none':
        return noTape();
      case 'argument':
        return this.#given[ref.at].tape;
      case 'held':
        return ref.tape;
      case 'new':
        return this.#tapes[ref.at];
      default:
        return ref satisfies never;
    }
  }

  #result(form: ResultForm, args: readonly unknown[]): unknown {
    switch (form.kind) {
      case 'tensor':
        return this.#tensors[form.at];
      case 'argument':
        return this.#given[form.at];
      case 'number':
        return this.#extra[form.at];
      case 'same':
        return form.value;
      case 'reached':
        return form.path.reduce((x: unknown, name) => (x as Record<string | number, unknown>)[name], args);
      case 'array': {
        const out = form.items.map((item) => this.#result(item, args));
        for (const { name, at } of form.named) Object.defineProperty(out, name, { value: out[at], configurable: true });
        return out;
      }
      case 'map':
        return new Map(form.keys.map((key, i) => [key, this.#result(form.items[i], args)]));
      case 'object': {
        const { prototype, keys, items } = form;
        const out = (prototype === Object.prototype ? {} : Object.create(prototype)) as Record<string, unknown>;
        for (let i = 0; i < keys.length; i++) out[keys[i]] = this.#result(items[i], args);
        return out;
      }
      default:
        return form satisfies never;
    }
  }

  /** Nothing of a call outlives it in here. */
  #forget(): void {
    this.#outputs.length = 0;
    this.#cells.length = 0;
    this.#tapes.length = 0;
    this.#versions.length = 0;
    this.#edges.length = 0;
    this.#tensors.length = 0;
    this.#values.fill(undefined as unknown as Value);
    this.#externals.fill(undefined as unknown as Buffer);
    this.#given = [];
  }
}
