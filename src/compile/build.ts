/**
 * From a trace to a plan: which calls are needed for what can be seen afterwards, as one captured program with references in place of values.
 */
import type { Edge, Tape, Version } from '../autograd/tape.ts';
import { Node, Value } from '../graph/node.ts';
import { type Captured, capture } from '../schedule/capture.ts';
import { engineOf } from '../tensor/devices.ts';
import { decodeFault } from '../tensor/recovery.ts';
import { Storage, Tensor } from '../tensor/tensor.ts';
import type { Described } from './arguments.ts';
import { fingerprintOf } from './fingerprint.ts';
import type {
  CellRef,
  CheckTemplate,
  EdgeTemplate,
  GradientAfter,
  GradientBefore,
  LeafRef,
  NewCell,
  NewTape,
  Plan,
  Prelude,
  ResultForm,
  SavedTemplate,
  Source,
  TapeRef,
  TensorTemplate,
  ValueRef,
  VersionRef,
} from './plan.ts';
import type { LoggedCall, Trace } from './trace.ts';

/** Why a call cannot be prepared. */
export class Refusal extends Error {}
const refuse = (reason: string): never => {
  throw new Refusal(reason);
};

/** A plan, and the values of the very call that was traced: inputs and outputs of its program. */
export interface Built {
  readonly plan: Plan;
  readonly externals: readonly Value[];
  readonly outputs: readonly Value[];
}

const deepest = 8;
/** So many calls may be made twice, for indices to be looked at before anything is written. */
const longestPrelude = 64;

class Builder {
  readonly #trace: Trace;
  readonly #given: Described;
  /** Values that must be in memory afterwards, in the order in which they were asked for. */
  readonly #wanted = new Map<Value, number>();
  readonly #externals = new Map<Value, number>();
  /** External values that something keeps: their memory is not taken over. */
  readonly #kept = new Set<Value>();
  readonly #cells: (NewCell & { readonly value: Value })[] = [];
  readonly #cellOf = new Map<Storage, CellRef>();
  readonly #tapes: NewTape[] = [];
  readonly #tapeOf = new Map<Tape, TapeRef>();
  readonly #versions: number[] = [];
  readonly #versionOf = new Map<Version, VersionRef>();
  readonly #edges: Edge[] = [];
  readonly #edgeAt = new Map<Edge, number>();
  readonly #tensors: TensorTemplate[] = [];
  readonly #tensorOf = new Map<Tensor, number>();
  readonly #extra: number[] = [];
  readonly #argumentOf = new Map<Tensor, number>();
  readonly #gradientOf = new Map<Storage, LeafRef>();
  readonly #heldTapes = new Set<Tape>();
  readonly #held = new Set<Storage>();

  constructor(trace: Trace, given: Described) {
    this.#trace = trace;
    this.#given = given;
    given.tensors.forEach((t, at) => {
      if (!this.#argumentOf.has(t)) this.#argumentOf.set(t, at);
      if (!this.#cellOf.has(t.storage)) this.#cellOf.set(t.storage, { kind: 'argument', at });
      if (!this.#tapeOf.has(t.tape)) this.#tapeOf.set(t.tape, { kind: 'argument', at });
      if (!this.#versionOf.has(t.version)) this.#versionOf.set(t.version, { kind: 'argument', at });
    });
    for (const [leaf, { grad, read }] of trace.gradients)
      if (grad !== null && read && !this.#cellOf.has(grad.storage)) this.#gradientOf.set(grad.storage, this.#leaf(leaf));
  }

  build(result: unknown): Built {
    const trace = this.#trace;
    for (const [t, seen] of trace.tensors)
      if (t.storage !== seen.storage || t.view_ !== seen.view || t.offset !== seen.offset || t.tape !== seen.tape)
        refuse('a tensor from outside gets another storage, layout or tape');
    for (const [module, fields] of trace.modules) {
      const now = Object.entries(module);
      if (now.length !== fields.length || now.some(([name, x], i) => name !== fields[i][0] || !Object.is(x, fields[i][1])))
        refuse(`a field of ${module.constructor.name} is changed inside the function`);
    }
    const form = this.#result(result, deepest);
    const writes: { cell: CellRef; value: Value; storage: Storage }[] = [];
    for (const [storage, before] of trace.storages)
      if (storage.value !== before.value) writes.push({ cell: this.#cell(storage), value: this.#want(storage.value), storage });
    const gradients: GradientAfter[] = [];
    const gradientsBefore: GradientBefore[] = [];
    for (const [leaf, { grad, read }] of trace.gradients) {
      const ref = this.#leaf(leaf);
      if (read) gradientsBefore.push({ leaf: ref, view: grad === null ? null : grad.view_, offset: grad === null ? 0 : grad.offset });
      if (leaf.grad_ === grad && read) continue;
      gradients.push({ leaf: ref, tensor: leaf.grad_ === null ? null : this.#tensor(leaf.grad_), seen: leaf.gradSeen });
    }
    const tapeWrites: { tape: TapeRef; to: NewTape | null }[] = [];
    for (const [tape, before] of trace.tapes)
      if (tape.edge !== before.edge || tape.output !== before.output || tape.base !== before.base) {
        const ref = this.#tapeOf.get(tape) ?? this.#holdTape(tape);
        tapeWrites.push({
          tape: ref,
          to: tape.edge === null ? null : { edge: this.#edge(tape.edge), output: tape.output, base: tape.base },
        });
      }
    const edges = this.#edgeTemplates();
    const counts: { version: VersionRef; by: number }[] = [];
    for (const [storage, { count }] of trace.storages)
      if (storage.count !== count) counts.push({ version: { kind: 'cell', cell: this.#cell(storage) }, by: storage.count - count });
    for (const [version, count] of trace.versions)
      if (version.count !== count) counts.push({ version: this.#version(version)!, by: version.count - count });
    // Checks of what the program reads, or of data.
    const checks = trace.checks.map(({ tensor, value, look }): CheckTemplate | null => {
      if (trace.produced.has(value)) return null;
      const external = this.#external(value);
      return { external, view: tensor.view_, offset: this.#extra.push(tensor.offset) - 1, look };
    });
    return this.#assemble(form, edges, { writes, gradients, gradientsBefore, tapeWrites, counts }, checks);
  }

  // ---- references

  #leaf(t: Tensor): LeafRef {
    return this.#argumentOf.get(t) ?? t;
  }
  #cell(storage: Storage): CellRef {
    const known = this.#cellOf.get(storage);
    if (known !== undefined) return known;
    const leaf = this.#gradientOf.get(storage);
    let ref: CellRef;
    if (leaf !== undefined) ref = { kind: 'gradient', of: leaf };
    else if (this.#trace.storages.has(storage)) {
      ref = { kind: 'held', storage };
      this.#held.add(storage);
    } else if (this.#isMade(storage)) {
      const { value } = storage;
      const from = this.#valueRef(value);
      ref = { kind: 'new', at: this.#cells.push({ from, count: storage.count, value }) - 1 };
    } else {
      ref = { kind: 'held', storage };
      this.#held.add(storage);
    }
    this.#cellOf.set(storage, ref);
    return ref;
  }
  /** Whether the call has made it. */
  #isMade(storage: Storage): boolean {
    const { storages, produced, dataOf } = this.#trace;
    return !storages.has(storage) && (produced.has(storage.value) || dataOf.has(storage.value));
  }
  #version(version: Version): VersionRef | null {
    const known = this.#versionOf.get(version);
    if (known !== undefined) return known;
    let ref: VersionRef;
    if (version instanceof Storage) {
      const cell = this.#cellOf.get(version);
      if (cell === undefined && !this.#trace.storages.has(version)) return null;
      ref = { kind: 'cell', cell: this.#cell(version) };
    } else if (this.#trace.versions.has(version)) ref = { kind: 'held', version };
    else ref = { kind: 'new', at: this.#versions.push(version.count) - 1 };
    this.#versionOf.set(version, ref);
    return ref;
  }
  #holdTape(tape: Tape): TapeRef {
    const ref: TapeRef = { kind: 'held', tape };
    this.#tapeOf.set(tape, ref);
    this.#heldTapes.add(tape);
    return ref;
  }
  #tape(tape: Tape): TapeRef {
    const known = this.#tapeOf.get(tape);
    if (known !== undefined) return known;
    let ref: TapeRef = { kind: 'none' };
    if (this.#trace.tapes.has(tape)) {
      if (tape.edge !== null) return this.#holdTape(tape);
    } else if (tape.edge !== null) {
      if (tape.edge.sequence < this.#trace.firstEdge) return this.#holdTape(tape);
      ref = { kind: 'new', at: this.#tapes.push({ edge: this.#edge(tape.edge), output: tape.output, base: tape.base }) - 1 };
    }
    this.#tapeOf.set(tape, ref);
    return ref;
  }
  #want(value: Value): Value {
    if (!this.#trace.produced.has(value)) refuse('a storage takes a value that was not computed inside');
    if (!this.#wanted.has(value)) this.#wanted.set(value, this.#wanted.size);
    return value;
  }
  #valueRef(value: Value): ValueRef {
    if (!this.#trace.produced.has(value)) {
      this.#kept.add(value);
      return { external: this.#external(value) };
    }
    this.#want(value);
    // Outputs are numbered when the program is captured.
    return { output: -1 };
  }
  #external(value: Value): number {
    let at = this.#externals.get(value);
    if (at === undefined) {
      at = this.#externals.size;
      this.#externals.set(value, at);
    }
    return at;
  }
  #edge(edge: Edge): number {
    let at = this.#edgeAt.get(edge);
    if (at === undefined) {
      if (edge.sequence < this.#trace.firstEdge) refuse('a result goes on from a graph outside in a way that is not known');
      at = this.#edges.push(edge) - 1;
      this.#edgeAt.set(edge, at);
    }
    return at;
  }
  #tensor(t: Tensor): number {
    const known = this.#tensorOf.get(t);
    if (known !== undefined) return known;
    const cell = this.#cell(t.storage);
    const template: TensorTemplate = {
      cell,
      view: t.view_,
      offset: this.#extra.push(t.offset) - 1,
      tape: this.#tape(t.tape),
      version: t.version === t.storage ? null : this.#version(t.version),
      sibling: t.sibling,
    };
    const at = this.#tensors.push(template) - 1;
    this.#tensorOf.set(t, at);
    return at;
  }

  #result(x: unknown, depth: number): ResultForm {
    if (typeof x === 'number') return { kind: 'number', at: this.#extra.push(x) - 1 };
    if (typeof x !== 'object' || x === null) return { kind: 'same', value: x };
    if (x instanceof Tensor) {
      const at = this.#argumentOf.get(x);
      if (at !== undefined) return { kind: 'argument', at };
      // A parameter or another leaf from outside is that very tensor.
      const isHeld = !this.#isMade(x.storage) && (x.tape.edge?.leaf === x || this.#isField(x));
      return isHeld ? { kind: 'same', value: x } : { kind: 'tensor', at: this.#tensor(x) };
    }
    const path = this.#given.objects.get(x);
    if (path !== undefined && path.length > 0) return { kind: 'reached', path };
    if (depth < 0) return refuse('what is returned is nested too deeply');
    if (Array.isArray(x)) {
      const items = x.map((y) => this.#result(y, depth - 1));
      // `values` and `indices` beside the positions.
      const named = Object.getOwnPropertyNames(x).flatMap((name) => {
        const at = /^(length|\d+)$/.test(name) ? -1 : x.indexOf((x as unknown as Record<string, unknown>)[name]);
        return at < 0 ? [] : [{ name, at }];
      });
      return { kind: 'array', items, named };
    }
    if (x instanceof Map) {
      const entries = [...x];
      return { kind: 'map', keys: entries.map(([k]) => k), items: entries.map(([, y]) => this.#result(y, depth - 1)) };
    }
    const keys = Object.keys(x);
    if (x instanceof Set || x instanceof Promise || typeof (x as { next?: unknown }).next === 'function')
      refuse(`a ${x.constructor.name} is returned`);
    const prototype = Object.getPrototypeOf(x) as object | null;
    // What holds nothing of this call is the same object each time.
    if (prototype !== Object.prototype && prototype !== null && keys.length === 0) return { kind: 'same', value: x };
    return { kind: 'object', prototype, keys, items: keys.map((k) => this.#result((x as Record<string, unknown>)[k], depth - 1)) };
  }
  #isField(t: Tensor): boolean {
    for (const fields of this.#trace.modules.values()) for (const [, x] of fields) if (x === t) return true;
    return false;
  }

  // ---- the tape

  #edgeTemplates(): (() => EdgeTemplate)[] {
    const trace = this.#trace;
    const outside = new Map<Edge, Tape[]>();
    for (const [tape, { edge }] of trace.tapes) {
      if (edge === null) continue;
      const list = outside.get(edge);
      if (list === undefined) outside.set(edge, [tape]);
      else list.push(tape);
    }
    const out: (() => EdgeTemplate)[] = [];
    // Grows while it is walked.
    for (let i = 0; i < this.#edges.length; i++) {
      const edge = this.#edges[i];
      const dead = edge.saved === null;
      if (edge.leaf !== null) refuse('a leaf that is made inside is returned on the tape');
      if (!dead && edge.custom !== null) refuse('a gradient that is written in JavaScript would run later');
      if (!dead && (edge.hooks !== null || edge.retained !== null)) refuse('a hook on a tensor would run later');
      const saved =
        edge.saved?.map(
          (s): SavedTemplate => ({
            value: this.#valueRef(s.value),
            view: s.view,
            offset: s.offset,
            version: s.version === null ? null : this.#version(s.version),
            behind: s.version === null ? 0 : s.version.count - s.count,
          }),
        ) ?? null;
      const values = edge.saved?.map((s) => s.value) ?? [];
      const targets = dead
        ? edge.targets.map(() => null)
        : edge.targets.map((t) => {
            if (t === null) return null;
            const { output, base, view, offset } = t;
            if (t.edge.sequence >= trace.firstEdge) return { edge: this.#edge(t.edge), tape: null, output, base, view, offset };
            const tapes = outside.get(t.edge) ?? [];
            const tape =
              tapes.find((x) => trace.tapes.get(x)!.output === output) ?? refuse('a gradient goes outside on a way that is not known');
            return { edge: -1, tape: this.#tapeOf.get(tape) ?? this.#holdTape(tape), output, base, view, offset };
          });
      out.push(() => ({
        name: edge.name,
        signature: edge.signature,
        outputs: edge.outputs,
        params: this.#paramsOf(edge.params),
        targets,
        saved: saved?.map((s, k) => ({ ...s, value: this.#numbered(s.value, values[k]) })) ?? null,
      }));
    }
    return out;
  }

  // ---- the program

  readonly #paramsAt = new Map<readonly (number | bigint)[], number>();
  #paramsOf(params: readonly (number | bigint)[]): EdgeTemplate['params'] {
    const first = this.#paramsAt.get(params);
    return first === undefined ? [...params] : { first, count: params.length };
  }
  #outputAt: ReadonlyMap<Value, number> = new Map();
  #numbered(ref: ValueRef, value: Value): ValueRef {
    return 'external' in ref ? ref : { output: this.#outputAt.get(value)! };
  }

  #assemble(
    result: ResultForm,
    edges: readonly (() => EdgeTemplate)[],
    after: {
      readonly writes: readonly { readonly cell: CellRef; readonly value: Value; readonly storage: Storage }[];
      readonly gradients: readonly GradientAfter[];
      readonly gradientsBefore: readonly GradientBefore[];
      readonly tapeWrites: Plan['tapeWrites'];
      readonly counts: Plan['counts'];
    },
    checks: readonly (CheckTemplate | null)[],
  ): Built {
    const trace = this.#trace;
    const needed = this.#neededCalls(this.#wanted.keys());
    const looking = this.#neededCalls(trace.conditions.map((c) => c.value));
    if (looking.length > longestPrelude) refuse('what indices are computed from is most of the function');
    const devices = new Set([...needed, ...looking].map((c) => c.node.signature.device));
    if (devices.size > 1) refuse('it computes on several devices');
    if (needed.length === 0) refuse('warmup: it computes nothing');
    const [device] = devices;
    // Memory of what is written is taken over, unless something keeps the old contents.
    const free = new Set<Value>();
    for (const { storage } of after.writes) {
      const before = trace.storages.get(storage)!.value;
      if (!this.#kept.has(before) && trace.homes.get(before) === storage) free.add(before);
    }
    const { captured, externals: read, outputs } = captureCalls(needed, new Set(this.#wanted.keys()), free);
    // What `capture` gives is good until the next one.
    const main = { ...captured, key: captured.key.slice(), numbers: captured.numbers.slice() };
    const { program, symbols: bound } = engineOf(device).programs.find(main);
    const symbols = bound.slice();
    // Inputs that only checks and results see come after those of the program.
    const slots = new Map<Value, number>();
    const slot = (v: Value): number => {
      let at = slots.get(v);
      if (at === undefined) {
        at = slots.size;
        slots.set(v, at);
      }
      return at;
    };
    read.forEach(slot);
    for (const v of this.#externals.keys()) slot(v);
    const before = looking.length === 0 ? null : this.#prelude(looking, main, slot);
    const slotOf = [...this.#externals.keys()].map(slot);
    const externals = [...slots.keys()];
    this.#outputAt = new Map(outputs.map((v, at) => [v, at]));
    const { data, sources } = this.#sources(externals);

    // Where numbers of calls stand among the scalars.
    const rules: { event: number; at: number; first: number; count: number }[] = [];
    let single = 0;
    needed.forEach(({ node, rule }) => {
      const { sequence } = node.signature;
      if (sequence === null) {
        if (node.params.length > 0) this.#paramsAt.set(node.params, captured.firstScalar[single]);
        if (rule !== null) rules.push({ ...rule, first: captured.firstScalar[single], count: node.params.length });
        single++;
        return;
      }
      for (const { params } of sequence.calls) {
        if (params >= 0) this.#paramsAt.set(node.paramLists![params], captured.firstScalar[single]);
        single++;
      }
    });

    const external = (ref: ValueRef, value: Value): ValueRef =>
      'external' in ref ? { external: slots.get(value)! } : this.#numbered(ref, value);
    const edgeTemplates = edges.map((make) => {
      const template = make();
      return {
        ...template,
        saved: template.saved?.map((s) => ('external' in s.value ? { ...s, value: { external: slotOf[s.value.external] } } : s)) ?? null,
      };
    });
    const writesArgument = after.writes.some(({ cell }) => cell.kind === 'argument');
    for (const s of sources) if (s.kind === 'held') this.#held.add(s.storage);
    const writtenHeld = after.writes.flatMap(({ cell }) => (cell.kind === 'held' ? [cell.storage] : []));
    const shownData = new Set(this.#cells.flatMap(({ value }) => (trace.dataOf.has(value) ? [value] : [])));
    const structure = {
      sources,
      outputs: outputs.map((v) => ({ dtype: v.dtype, size: v.size })),
      donors: captured.donors,
      cells: this.#cells.map(({ from, count, value }): NewCell => ({ from: external(from, value), count })),
      writes: after.writes.map(({ cell, value }) => ({ cell, output: this.#outputAt.get(value)! })),
      counts: after.counts,
      edges: edgeTemplates,
      edgeOrder: [...this.#edges.keys()].sort((a, b) => this.#edges[a].sequence - this.#edges[b].sequence),
      tapes: this.#tapes,
      tapeWrites: after.tapeWrites,
      versions: this.#versions,
      tensors: this.#tensors,
      gradients: after.gradients,
      gradientsBefore: after.gradientsBefore,
      result,
      rules,
      heldTapes: [...this.#heldTapes].map((tape) => {
        const { edge, output, base } = trace.tapes.get(tape) ?? tape;
        return { tape, onTape: edge !== null, output, base };
      }),
      exclusive: [...(writesArgument ? this.#held : new Set(writtenHeld))],
      required: this.#required(),
    };
    const checkTemplates = checks.flatMap((c) => (c === null ? [] : [{ ...c, external: slotOf[c.external] }]));
    const plan: Plan = {
      engine: engineOf(device),
      device,
      ...structure,
      fingerprint: fingerprintOf({
        ...structure,
        checks: checkTemplates.map(({ external: e, view }) => [e, view]),
        events: trace.events.map((e) => (e.kind === 'step' ? [e.optimizer, e.stepped, e.rules.map((r) => r.call)] : e.kind)),
        modules: [...trace.modules.keys()],
      }),
      key: before === null ? main.key : Int32Array.of(...main.key, ...before.captured.key),
      varying: {
        numbers: before === null ? main.numbers : Int32Array.of(...main.numbers, ...before.captured.numbers),
        scalars: before === null ? main.scalars : [...main.scalars, ...before.captured.scalars],
        extra: this.#extra,
        data: data.map((v) => trace.dataOf.get(v) ?? null),
      },
      program,
      symbols,
      prelude: before?.prelude ?? null,
      data: data.map((value) => ({ value, shown: shownData.has(value) })),
      checks: checkTemplates,
      events: trace.events,
      modules: trace.modules,
      ranges: trace.ranges.map(({ value, low, high }) => ({ at: this.#extra.push(value) - 1, low, high })),
    };
    return { plan, externals, outputs };
  }

  /** The program that looks at computed indices. */
  #prelude(
    calls: readonly LoggedCall[],
    main: Captured,
    slot: (v: Value) => number,
  ): { readonly prelude: Prelude; readonly captured: Captured } {
    const { conditions } = this.#trace;
    const { captured: found, externals, outputs } = captureCalls(calls, new Set(conditions.map((c) => c.value)), new Set());
    const captured = { ...found, key: found.key.slice(), numbers: found.numbers.slice() };
    const { program, symbols } = engineOf(calls[0].node.signature.device).programs.find(captured);
    const prelude = {
      program,
      symbols: symbols.slice(),
      firstNumber: main.numbers.length,
      firstScalar: main.scalars.length,
      inputs: externals.map(slot),
      errors: conditions.map(({ value, error, call }) => {
        const place = call === null ? null : { name: call.signature.operator.name, at: call.place };
        return {
          output: outputs.indexOf(value),
          error: (code: number): Error => {
            const made = error(decodeFault(code));
            if (place !== null) made.message += `\n(raised by ${place.name}${place.at === '' ? '' : ` in ${place.at}`})`;
            return made;
          },
        };
      }),
    };
    return { prelude, captured };
  }

  /** Calls on the way to what is wanted, in their order. */
  #neededCalls(values: Iterable<Value>): LoggedCall[] {
    const { calls, produced } = this.#trace;
    const marks = new Uint8Array(calls.length);
    for (const v of values) marks[produced.get(v)!.call] = 1;
    for (let i = calls.length - 1; i >= 0; i--) {
      if (marks[i] === 0) continue;
      for (const src of calls[i].srcs) {
        const from = produced.get(src);
        if (from !== undefined) marks[from.call] = 1;
      }
    }
    return calls.filter((_, i) => marks[i] === 1);
  }

  #sources(externals: readonly Value[]): { readonly sources: Source[]; readonly data: Value[] } {
    const trace = this.#trace;
    const data: Value[] = [];
    const drawnBy = new Map<Value, number>();
    trace.events.forEach((e, event) => {
      if (e.kind === 'draw') drawnBy.set(e.value, event);
    });
    const sources = externals.map((v): Source => {
      const event = drawnBy.get(v);
      if (event !== undefined) return { kind: 'draw', event };
      if (trace.dataOf.has(v)) return { kind: 'data', at: data.push(v) - 1 };
      const home = trace.homes.get(v) ?? refuse('it reads what backward has saved outside of the function');
      return this.#cell(home);
    });
    return { sources, data };
  }

  /** An argument that is also a module's tensor has to be so again. */
  #required(): Plan['required'] {
    const fields = new Set<unknown>();
    for (const entries of this.#trace.modules.values()) for (const [, x] of entries) if (x instanceof Tensor) fields.add(x.storage);
    return this.#given.tensors.flatMap((t, at) => (fields.has(t.storage) ? [{ at, storage: t.storage }] : []));
  }
}

/** The same calls over values of their own (the trace's are settled or will be), captured; what they read and store in the trace's own values. */
function captureCalls(
  calls: readonly LoggedCall[],
  wanted: ReadonlySet<Value>,
  free: ReadonlySet<Value>,
): { readonly captured: Captured; readonly externals: readonly Value[]; readonly outputs: readonly Value[] } {
  const copies = new Map<Value, Value>();
  const original = new Map<Value, Value>();
  const copy = (v: Value, made: Value): Value => {
    copies.set(v, made);
    original.set(made, v);
    return made;
  };
  const nodes = calls.map(({ node, srcs, donors }) => {
    const sources = srcs.map((v) => copies.get(v) ?? copy(v, new Value(null, 0, v.dtype, v.size, v.device)));
    const made = new Node(node.signature, sources, node.offsets, node.params, donors?.map((d) => copies.get(d) ?? d) ?? null, node.place);
    made.paramLists = node.paramLists;
    node.outs.forEach((v, i) => {
      made.outs[i] = copy(v, new Value(made, i, v.dtype, v.size, v.device));
    });
    return made;
  });
  const captured = capture(
    nodes,
    (v) => wanted.has(original.get(v)!),
    (v) => free.has(original.get(v)!),
  );
  return {
    captured,
    externals: captured.externals.map((v) => original.get(v)!),
    outputs: captured.outputs.map((v) => original.get(v)!),
  };
}

/** Makes the plan of a trace; throws a `Refusal` where there is none. */
export const buildPlan = (trace: Trace, given: Described, result: unknown): Built => new Builder(trace, given).build(result);
