/**
 * `torch.compile`: a function whose calls, once seen, are one prepared program each.
 * https://docs.pytorch.org/docs/stable/generated/torch.compile.html
 *
 * A call with arguments of a new form is a plain call that is watched (`trace.ts`) and kept as a plan (`build.ts`); a call whose form, modules, modes
 * and states are those of a plan replays it (`replay.ts`). Numbers among the arguments are followed (`numbers.ts`). What cannot be prepared runs in plain
 * code and says so once. There is one way to run; PyTorch's options are checked and otherwise mean nothing.
 */
import { autocastHere, autocastMode } from '../autograd/autocast-mode.ts';
import { openEngines } from '../tensor/devices.ts';
import { sink } from '../tensor/tracing.ts';
import { flags } from '../util/flags.ts';
import { trace as say } from '../util/trace.ts';
import { ArgumentReader, describeArguments } from './arguments.ts';
import { type Built, buildPlan, Refusal } from './build.ts';
import { Guards } from './guards.ts';
import { disagreement, type Following, follow, type Sighting, variablesOf } from './numbers.ts';
import type { Plan } from './plan.ts';
import { Replay, runPrelude } from './replay.ts';
import { Trace } from './trace.ts';

/** How often a function is traced anew for other than numbers, and how many sets of numbers are kept apart, as `torch._dynamo.config.recompile_limit`. */
export const config = { recompile_limit: 8 };

/** How compiled functions behave for now: `torch.compiler.set_stance`. */
export const stance: { current: 'default' | 'force_eager' | 'eager_on_recompile' | 'fail_on_recompile' } = { current: 'default' };
let disabled = 0;
/** Runs `work`, in which compiled functions run in plain code. */
export function withoutCompiling<T>(work: () => T): T {
  disabled++;
  try {
    return work();
  } finally {
    disabled--;
  }
}

interface Variant {
  readonly sighting: Sighting;
  readonly guards: Guards;
  readonly following: Following | null;
  readonly replay: Replay;
  /** Kept for the number of its calls only. */
  uses: number;
}

/** Calls whose arguments have one form. */
interface Entry {
  readonly reader: ArgumentReader;
  readonly variants: Variant[];
  /** Traces that may still turn out to follow from numbers. */
  readonly sightings: Sighting[];
}

type AnyFunction = (this: unknown, ...args: unknown[]) => unknown;

const mostWarmups = 16;
const mostRefusals = 3;

export class CompiledFunction {
  readonly #fn: AnyFunction;
  readonly #name: string;
  readonly #fullgraph: boolean;
  #entries: Entry[] = [];
  #traces = 0;
  #warmups = 0;
  #refusals = 0;
  #plain = false;
  readonly #x: number[] = [];

  constructor(fn: AnyFunction, name: string, fullgraph: boolean) {
    this.#fn = fn;
    this.#name = name;
    this.#fullgraph = fullgraph;
    known.add(new WeakRef(this));
  }

  reset(): void {
    this.#entries = [];
    this.#traces = this.#warmups = this.#refusals = 0;
    this.#plain = false;
  }
  /** How many plans there are, for tests and benchmarks. */
  get plans(): number {
    return this.#entries.reduce((sum, e) => sum + e.variants.length, 0);
  }

  call(self: unknown, given: unknown[]): unknown {
    // A cast that was kept outside is of the weights of then: inside they are cast for themselves.
    return autocastMode.active ? autocastHere()(() => this.#call(self, given)) : this.#call(self, given);
  }
  #call(self: unknown, given: unknown[]): unknown {
    if (this.#plain || disabled > 0 || sink !== null || stance.current === 'force_eager') return this.#fn.apply(self, given);
    // A receiver is an argument like the others.
    const args = self === undefined ? given : [...given, self];
    const entries = this.#entries;
    for (let e = 0; e < entries.length; e++) {
      const { reader, variants } = entries[e];
      if (!reader.read(args)) continue;
      for (let i = 0; i < variants.length; i++) {
        const variant = variants[i];
        if (!this.#fits(variant, reader)) continue;
        if (flags.compileCheck > 0 && ++variant.uses % flags.compileCheck === 0) return this.#trace(self, given, args, entries[e], variant);
        const done = variant.replay.run(args, reader.tensors, this.#x);
        if (done === null) return this.#fn.apply(self, given);
        if (i > 0) {
          variants.splice(i, 1);
          variants.unshift(variant);
        }
        if (e > 0) {
          const [entry] = entries.splice(e, 1);
          entries.unshift(entry);
        }
        return done.result;
      }
      return this.#trace(self, given, args, entries[e], null);
    }
    return this.#trace(self, given, args, null, null);
  }

  #fits({ sighting, following, guards }: Variant, reader: ArgumentReader): boolean {
    const { numbers, tensors } = reader;
    if (following !== null) {
      if (!variablesOf(following, numbers, this.#x)) return false;
    } else for (let i = 0; i < numbers.length; i++) if (!Object.is(numbers[i], sighting.numbers[i])) return false;
    return guards.hold(tensors, reader.walk);
  }

  #trace(self: unknown, given: unknown[], args: readonly unknown[], entry: Entry | null, check: Variant | null): unknown {
    if (check === null && this.#traces > 0) {
      if (stance.current === 'fail_on_recompile')
        throw new Error(
          `Detected recompile when torch.compile stance is 'fail_on_recompile'. filename: '${this.#name}', function name: '${this.#name}'`,
        );
      if (stance.current === 'eager_on_recompile') return this.#fn.apply(self, given);
    }
    const described = describeArguments(args);
    if (typeof described === 'string') return this.#refused(described, () => this.#fn.apply(self, given));
    if (check === null && this.#isFull(entry)) return this.#fn.apply(self, given);
    const trace = new Trace();
    let result: unknown;
    try {
      result = trace.run(described.tensors, () => this.#fn.apply(self, given));
    } catch (error) {
      trace.undo(error as Error);
      throw error;
    }
    if (isDeferred(result)) trace.refuse('it returns a Promise or an iterator');
    trace.checkEvents();
    let built: Built;
    try {
      if (trace.refusal !== null) throw new Refusal(trace.refusal);
      built = buildPlan(trace, described, result);
    } catch (error) {
      if (!(error instanceof Refusal)) {
        trace.undo(error as Error);
        throw error;
      }
      if (trace.flushed) for (const engine of openEngines()) engine.flush();
      return this.#refused(error.message, () => result);
    }
    const sighting: Sighting = { numbers: described.numbers, plan: built.plan };
    const wrong = check === null ? null : disagreement(check.following, check.sighting, sighting);
    if (wrong !== null) {
      const error = new Error(
        `torch.compile: ${this.#name} does something else than when it was traced: ${wrong}.\n` +
          'A variable outside of the function, a field of an object, or a branch on a number has changed what it does. Pass such things as arguments (as a boolean or a string where it decides something), or call torch.compiler.reset().',
      );
      trace.undo(error);
      throw error;
    }
    if (trace.holds) {
      try {
        execute(built);
      } catch (error) {
        trace.undo(error as Error);
        throw error;
      }
    }
    if (check === null) this.#keep(described.form, entry, sighting);
    return result;
  }

  #isFull(entry: Entry | null): boolean {
    const limit = config.recompile_limit;
    if (this.#traces < limit && (entry === null || entry.variants.length < 2 * limit)) return false;
    const text =
      `torch._dynamo hit config.recompile_limit (${limit})\n   function: '${this.#name}'\n` +
      '   It runs in plain code from now on: its arguments, modules or modes are different at each call.';
    if (this.#fullgraph) throw new Error(`${text}\nrecompile_limit reached with fullgraph=True.`);
    console.warn(text);
    this.#plain = true;
    return true;
  }

  #keep(form: ArgumentReader['form'], entry: Entry | null, sighting: Sighting): void {
    let at = entry;
    if (at === null) {
      at = { reader: new ArgumentReader(form), variants: [], sightings: [] };
      this.#entries.unshift(at);
      this.#traces++;
    } else if (!at.sightings.some((s) => s.plan.fingerprint === sighting.plan.fingerprint)) this.#traces++;
    const { sightings, variants } = at;
    const following = followLast(sightings, sighting);
    const make = (f: Following | null): Variant => ({
      sighting,
      guards: new Guards(sighting.plan),
      following: f,
      replay: new Replay(sighting.plan, f),
      uses: 0,
    });
    if (following !== null) {
      // What led to it is part of it.
      const isPart = ({ sighting: { plan, numbers }, following: before }: Variant): boolean =>
        plan.fingerprint === sighting.plan.fingerprint && (before !== null || variablesOf(following, numbers, []));
      variants.splice(0, variants.length, ...variants.filter((v) => !isPart(v)));
    }
    variants.unshift(make(following));
    sightings.push(sighting);
    if (sightings.length > 4) sightings.shift();
    say(
      'programs',
      () => `compile ${this.#name}: plan of ${sighting.plan.outputs.length} outputs${following === null ? '' : ', following numbers'}`,
    );
  }

  #refused(reason: string, run: () => unknown): unknown {
    say('programs', () => `compile ${this.#name}: ${reason}`);
    if (reason.startsWith('warmup')) {
      if (++this.#warmups > mostWarmups) this.#plain = true;
      return run();
    }
    if (this.#fullgraph) {
      run();
      throw new Error(`torch.compile(${this.#name}, { fullgraph: true }): ${reason}`);
    }
    if (++this.#refusals === mostRefusals) {
      this.#plain = true;
      console.warn(`torch.compile: ${this.#name} runs in plain code: ${reason}`);
    }
    return run();
  }
}

/** The last two traces of this structure, and this one. */
function followLast(sightings: readonly Sighting[], now: Sighting): Following | null {
  const same = sightings.filter((s) => s.plan.fingerprint === now.plan.fingerprint && s.numbers.length === now.numbers.length);
  if (same.length < 2) return null;
  return follow([same[same.length - 2], same[same.length - 1], now]);
}

/** Runs the program of a trace for the trace's own values. */
function execute({ plan, externals, outputs }: Built): void {
  const { engine, program, donors } = plan;
  const memory = externals.map((v) => v.buffer ?? engine.materialize(v));
  if (plan.prelude !== null) runPrelude(plan, plan.prelude, memory, plan.prelude.symbols, plan.varying.scalars);
  const buffers = engine.programs.launch(program, {
    externals: memory,
    donors,
    symbols: plan.symbols,
    scalars: plan.varying.scalars,
  });
  outputs.forEach((v, i) => {
    v.buffer = buffers[i];
    if (program.outputs[i].donated) externals[donors[i]].buffer = null;
  });
  for (const open of openEngines()) open.retract();
}

function isDeferred(x: unknown): boolean {
  if (typeof x !== 'object' || x === null) return false;
  return typeof (x as { then?: unknown }).then === 'function' || typeof (x as { next?: unknown }).next === 'function';
}

/** All that were made, for `torch.compiler.reset`. */
const known = new Set<WeakRef<CompiledFunction>>();
export function resetAll(): void {
  for (const reference of known) {
    const compiled = reference.deref();
    if (compiled === undefined) known.delete(reference);
    else compiled.reset();
  }
}
export type { Plan };
