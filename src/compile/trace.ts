/**
 * A trace: one plain call of a function, watched. What was called in which order on what, which storages, tapes and gradients that were there
 * before have changed, which data came from JavaScript, which modules, optimizers and generators took part.
 *
 * In the lazy mode nothing is computed until the call is over: then what was recorded is the program (`plan.ts`), and running that computes this
 * call's own results. In the flush modes that compute between calls the trace only watches. What cannot be repeated is refused, with a reason:
 * such a call stands as it is, in plain code.
 */
import { Edge, type Tape, type Version } from '../autograd/tape.ts';
import type { Node, Value } from '../graph/node.ts';
import type { ParameterState } from '../optim/optimizer.ts';
import { defaultGenerator } from '../random/generator.ts';
import type { View } from '../shape/view.ts';
import { openEngines } from '../tensor/devices.ts';
import { indexCheckName } from '../tensor/engine.ts';
import type { Storage, Tensor } from '../tensor/tensor.ts';
import { setSink, sink, type TraceSink } from '../tensor/tracing.ts';
import { flags } from '../util/flags.ts';

export interface LoggedCall {
  readonly node: Node;
  readonly srcs: readonly Value[];
  readonly donors: readonly Value[] | null;
  /** Of an update rule: the step's number among the events, and the rule's in it. */
  readonly rule: { readonly event: number; readonly at: number } | null;
}
export interface SeenStorage {
  readonly value: Value;
  readonly count: number;
}
export interface SeenTape {
  readonly edge: Edge | null;
  readonly output: number;
  readonly base: View | null;
}
export interface SeenGradient {
  readonly grad: Tensor | null;
  readonly seen: boolean;
  /** Whether what was there matters: not where it was given up unseen. */
  read: boolean;
}
export interface SeenTensor {
  readonly storage: Storage;
  readonly view: View;
  readonly offset: number;
  readonly tape: Tape;
}
/** An optimizer, as a trace sees it. */
export interface SteppingOptimizer {
  readonly param_groups: readonly { readonly params: readonly Tensor[] }[];
  readonly state: Map<Tensor, ParameterState>;
  count(stepped: readonly (readonly Tensor[])[], states: ReadonlyMap<Tensor, ParameterState>): void;
}
export interface SteppedOptimizer {
  readonly kind: 'step';
  readonly optimizer: SteppingOptimizer;
  /** For each group the parameters that had a gradient. */
  readonly stepped: readonly (readonly Tensor[])[];
  /** The states before; the trace makes no plan where the step has made some. */
  readonly states: ReadonlyMap<Tensor, ParameterState | undefined>;
  readonly options: readonly string[];
  readonly rules: { readonly call: object; readonly numbers: readonly number[] }[];
  /** Calls that no rule has made: their numbers are not known to follow from anything. */
  foreign: boolean;
}
export type TraceEvent =
  | SteppedOptimizer
  | { readonly kind: 'draw'; readonly make: () => Tensor; readonly value: Value }
  | { readonly kind: 'library'; readonly work: () => void };
export interface SeenCheck {
  readonly tensor: Tensor;
  readonly value: Value;
  readonly look: (t: Tensor) => void;
}
export type Fields = readonly (readonly [string, unknown])[];

/** Data up to so many bytes may follow from a number argument. */
const mostData = 65536;

export const readInside = (): Error =>
  new Error(
    'Unsupported Tensor.item() call\n' +
      '  Explanation: numbers of a tensor were asked for (item(), tolist(), numpy(), printing, a copy to another device, or an operator that has to look at data) inside a function that torch.compile has prepared to be run as one program. They are not there before it has run.\n' +
      '  Hint: return the tensor and read it outside, replace what depends on it by torch.where and the like, or take this part out of the compiled function (torch.compiler.disable works outside of one).',
  );

/** The options of a group that are not tensors, to see whether something else has set them. */
const optionsOf = (group: object): string => JSON.stringify(Object.entries(group).filter(([name]) => name !== 'params'));

export class Trace implements TraceSink {
  readonly holds: boolean = flags.flush === 'lazy';
  readonly calls: LoggedCall[] = [];
  /** Results of logged calls. */
  readonly produced: Map<Value, { readonly call: number; readonly index: number }> = new Map();
  /** Storages that were there before, as they were met first. */
  readonly storages: Map<Storage, SeenStorage> = new Map();
  /** In which storage a value from before was found. */
  readonly homes: Map<Value, Storage> = new Map();
  readonly versions: Map<Version, number> = new Map();
  readonly tapes: Map<Tape, SeenTape> = new Map();
  readonly tensors: Map<Tensor, SeenTensor> = new Map();
  readonly gradients: Map<Tensor, SeenGradient> = new Map();
  readonly dataOf: Map<Value, Uint8Array | null> = new Map();
  readonly events: TraceEvent[] = [];
  readonly checks: SeenCheck[] = [];
  readonly conditions: { readonly value: Value; readonly error: (at: number) => Error; call: Node | null }[] = [];
  readonly modules: Map<object, Fields> = new Map();
  readonly ranges: { readonly value: number; readonly low: number; readonly high: number }[] = [];
  /** Edges from here on are the trace's own. */
  readonly firstEdge: number = Edge.of({ name: 'CompileStart', outputs: [] }).sequence;
  refusal: string | null = null;
  flushed = false;
  readonly #generator = positionOf();
  #quiet = false;
  #inLibrary = false;
  #unnamed = false;
  #drawing = false;
  #rule: LoggedCall['rule'] = null;
  #step: SteppedOptimizer | null = null;

  /** Runs `work`, watched. */
  run<T>(given: readonly Tensor[], work: () => T): T {
    if (sink !== null) throw new Error('internal: a trace inside a trace');
    for (const engine of openEngines()) engine.flush();
    for (const t of given) this.see(t);
    setSink(this);
    try {
      return work();
    } finally {
      setSink(null);
      const drew = this.events.some((e) => e.kind === 'draw');
      if (!drew && this.#generator !== positionOf()) this.refuse('random numbers are drawn in a way that cannot be repeated');
    }
  }

  /** Nothing of what was recorded has happened: for a function that has thrown. */
  undo(error: Error): void {
    if (!this.holds) return;
    for (const engine of openEngines()) engine.undo(error);
    for (const [storage, { count }] of this.storages) storage.count = count;
    for (const [version, count] of this.versions) version.count = count;
    for (const [tape, before] of this.tapes) Object.assign(tape, before);
    for (const [leaf, { grad, seen }] of this.gradients) {
      leaf.grad_ = grad;
      leaf.gradSeen = seen;
    }
    for (const event of [...this.events].reverse()) {
      if (event.kind !== 'step') continue;
      for (const [p, state] of event.states) {
        if (state === undefined) event.optimizer.state.delete(p);
        else event.optimizer.state.set(p, state);
      }
    }
  }

  /** Looks at a tensor that is there from before. */
  see(t: Tensor): void {
    const { storage, tape, version } = t;
    const known = this.storages.has(storage);
    if (!known) {
      const { value, count } = storage;
      if (this.produced.has(value) || this.dataOf.has(value)) return;
      this.storages.set(storage, { value, count });
      if (!this.homes.has(value)) this.homes.set(value, storage);
    }
    if (version !== storage && !this.versions.has(version)) this.versions.set(version, version.count);
    if (!this.tapes.has(tape)) {
      // What got its edge in here is a tape of the trace's own.
      if (tape.edge !== null && tape.edge.sequence >= this.firstEdge) return;
      this.tapes.set(tape, { edge: tape.edge, output: tape.output, base: tape.base });
    }
    if (!this.tensors.has(t)) this.tensors.set(t, { storage, view: t.view_, offset: t.offset, tape });
  }

  inputs(inputs: readonly Tensor[]): void {
    for (let i = 0; i < inputs.length; i++) this.see(inputs[i]);
  }
  writing(self: Tensor): void {
    this.see(self);
  }
  submitted(node: Node): void {
    const { srcs, donors } = node;
    if (this.#unnamed && node.signature.operator.name !== indexCheckName) {
      for (const condition of this.conditions) condition.call ??= node;
      this.#unnamed = false;
    }
    const rule = this.#rule;
    this.#rule = null;
    if (rule === null && this.#step !== null) this.#step.foreign = true;
    for (let i = 0; i < node.outs.length; i++) this.produced.set(node.outs[i], { call: this.calls.length, index: i });
    this.calls.push({ node, srcs: srcs!, donors, rule });
  }
  gradient(leaf: Tensor, how: 'read' | 'clear'): void {
    const known = this.gradients.get(leaf);
    if (known !== undefined) return;
    this.gradients.set(leaf, { grad: leaf.grad_, seen: leaf.gradSeen, read: how === 'read' });
  }
  backward(edge: { readonly sequence: number }): void {
    if (edge.sequence < this.firstEdge) this.refuse('backward goes through a graph that was recorded outside of the function');
  }
  read(): void {
    if (!this.#quiet) throw readInside();
  }
  data(value: Value, bytes: Uint8Array): void {
    // It is read again at each call: nobody may take over its memory.
    value.savedBy++;
    this.dataOf.set(value, !this.#drawing && bytes.byteLength <= mostData ? bytes.slice() : null);
  }
  draw(make: () => Tensor): Tensor {
    this.#drawing = true;
    try {
      const t = make();
      this.events.push({ kind: 'draw', make, value: t.storage.value });
      return t;
    } finally {
      this.#drawing = false;
    }
  }
  check(t: Tensor, look: (t: Tensor) => void): void {
    this.checks.push({ tensor: t, value: t.storage.value, look });
    const before = this.#quiet;
    this.#quiet = true;
    try {
      look(t);
    } finally {
      this.#quiet = before;
    }
  }
  condition(value: Value, error: (at: number) => Error): void {
    this.conditions.push({ value, error, call: null });
    this.#unnamed = true;
  }
  module(module: object): void {
    if (!this.modules.has(module)) this.modules.set(module, Object.entries(module));
  }
  optimizer(given: object | null): void {
    this.#step = null;
    if (given === null) return;
    const optimizer = given as SteppingOptimizer;
    const states = new Map<Tensor, ParameterState | undefined>();
    const stepped = optimizer.param_groups.map(({ params }) =>
      params.filter((p) => {
        this.gradient(p, 'read');
        if (p.grad_ === null) return false;
        const state = optimizer.state.get(p);
        states.set(p, state === undefined ? undefined : { ...state });
        return true;
      }),
    );
    const options = optimizer.param_groups.map(optionsOf);
    this.#step = { kind: 'step', optimizer, stepped, states, options, rules: [], foreign: false };
    this.events.push(this.#step);
  }
  rule(call: object, numbers: readonly number[]): void {
    const step = this.#step;
    if (step !== null) this.#rule = { event: this.events.indexOf(step), at: step.rules.push({ call, numbers }) - 1 };
  }
  library(work: () => void): void {
    if (this.#inLibrary) {
      work();
      return;
    }
    this.events.push({ kind: 'library', work });
    this.#inLibrary = true;
    try {
      work();
    } finally {
      this.#inLibrary = false;
    }
  }
  decided(value: number, low: number, high: number): void {
    this.ranges.push({ value, low, high });
  }
  flush(): void {
    this.flushed = true;
  }
  refuse(reason: string): void {
    this.refusal ??= reason;
  }

  /** Whether the library's state is now what a later call can start from. */
  checkEvents(): void {
    let stepAfter = false;
    for (const event of [...this.events].reverse()) {
      if (event.kind === 'library' && stepAfter) this.refuse('a scheduler steps before an optimizer does');
      if (event.kind !== 'step') continue;
      stepAfter = true;
      for (const [p, before] of event.states) {
        const after = event.optimizer.state.get(p);
        if (before === undefined || after === undefined) {
          this.refuse('warmup: the optimizer has made its state');
          continue;
        }
        for (const name of Object.keys(after))
          if (typeof after[name] === 'object' && after[name] !== before[name]) this.refuse('warmup: the optimizer has made its state');
      }
      if (event.foreign) this.refuse('an optimizer computes what is not said by a rule');
      const scheduled = this.events.some((e) => e.kind === 'library');
      if (!scheduled && event.optimizer.param_groups.some((group, i) => optionsOf(group) !== event.options[i]))
        this.refuse("an optimizer's options are changed inside the function");
    }
  }
}

/** Where torch's own generator stands. */
function positionOf(): string {
  const { left, next, words } = defaultGenerator.engine.getState();
  return `${left} ${next} ${words[0]} ${words[623]} ${defaultGenerator.nextNormal}`;
}
