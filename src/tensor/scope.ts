/**
 * Module scopes: which values are made inside the outermost module call, so that those that cannot be seen afterwards need no memory.
 *
 * A position is (module path, n-th call in it). A position that was read after it had been presumed dead is kept from then on.
 */
import { collectGarbage } from '../backend/tracked-memory.ts';
import { type Position, positionText, type Value } from '../graph/node.ts';
import type { Tensor } from './tensor.ts';

const kept = new Set<string>();

/** Values at this position are stored like any other from now on. */
export function keepPlace(position: string): void {
  kept.add(position);
}

/** Values that `torch.keep` was called for: never presumed dead. */
const keptValues = new WeakSet<Value>();

/** Says that `x` will be read after the module's call that makes it has returned, though nothing reaches it: it is stored like any other. */
export function keep<T extends Tensor>(x: T): T {
  keptValues.add(x.storage.value);
  x.storage.value.presumedDead = null;
  return x;
}

/** The modules being called, outermost first. */
class ModulePath {
  #texts: string[] = [''];
  /** Their names, joined. */
  text = '';
  push(name: string): void {
    this.text = this.text === '' ? name : `${this.text}.${name}`;
    this.#texts.push(this.text);
  }
  pop(): void {
    this.#texts.pop();
    this.text = this.#texts[this.#texts.length - 1];
  }
}

export interface ModuleScope {
  /** Tensors made since the outermost call began, with their positions. */
  readonly made: { readonly tensor: Tensor; readonly position: Position }[];
  readonly path: ModulePath;
  readonly calls: Map<string, number>;
  /** What hooks have been given: they may have kept it. */
  readonly shown: unknown[];
  readonly young: boolean;
}

let current: ModuleScope | null = null;

export const currentScope = (): ModuleScope | null => current;

/** Opens the scope of a call of `root`, the outermost module. */
export function openScope(root?: object): ModuleScope {
  const calls = root === undefined ? youngCalls + 1 : (callsOf.get(root) ?? 0) + 1;
  if (root !== undefined && calls <= youngCalls) callsOf.set(root, calls);
  current = { made: [], path: new ModulePath(), calls: new Map(), shown: [], young: calls <= youngCalls };
  return current;
}
export function closeScope(): void {
  current = null;
}

/** The module path of the call being made, for errors. */
export const currentPlace = (): string => (current === null ? '' : current.path.text);

/** Notes a result made inside a module's forward. */
export function noteResult(tensor: Tensor): void {
  if (current === null) return;
  const path = current.path.text;
  const n = current.calls.get(path) ?? 0;
  current.calls.set(path, n + 1);
  current.made.push({ tensor, position: { path, n } });
}

/** Handles on presumed-dead values of a young module: whether they are alive is asked at the flush that would drop them. */
interface Candidate {
  readonly handle: WeakRef<Tensor>;
  readonly value: Value;
  readonly position: Position;
}
let candidates: Candidate[] = [];
/** A module is young in its first calls, whose programs are still being compiled: weak references cost, and keep their targets to the end of the job. */
const callsOf = new WeakMap<object, number>();
const youngCalls = 2;

/** Before a flush: positions whose values somebody still holds are kept from now on, these values too. True if there were any. */
export function keepTheLiving(): boolean {
  const asked = candidates.filter((c) => c.value.presumedDead !== null && c.value.buffer === null);
  candidates = [];
  if (asked.length === 0 || !collectGarbage()) return false;
  let found = false;
  for (const { handle, value, position } of asked) {
    if (handle.deref() === undefined) continue;
    keepPlace(positionText(position));
    value.presumedDead = null;
    found = true;
  }
  return found;
}
/** After a flush nobody needs to ask any more. */
export function forgetCandidates(): void {
  if (candidates.length > 0) candidates = [];
}

let walks = 0;
/** A number for a look at what is in reach: `Storage.reached` takes it. */
export const newWalk = (): number => ++walks;

/** At the return of the outermost module: what was made inside and is not in reach (its storage's `reached` is not `walk`) is presumed dead. */
export function presumeDead(scope: ModuleScope, walk: number): void {
  for (const { tensor, position } of scope.made) {
    if (tensor.storage.reached === walk || (kept.size > 0 && kept.has(positionText(position)))) continue;
    const value: Value = tensor.storage.value;
    if (value.buffer !== null || keptValues.has(value)) continue;
    value.presumedDead = position;
    if (scope.young) candidates.push({ handle: new WeakRef(tensor), value, position });
  }
}

// ---- calls inside calls

let depth = 0;
/** Runs work that holds results which are nobody's handles yet (backward, an in-place write): a flush meanwhile must keep them all. */
export function holding<T>(work: () => T): T {
  depth++;
  try {
    return work();
  } finally {
    depth--;
  }
}
export const isHolding = (): boolean => depth > 0;

let target: Tensor | null = null;
/** The tensor that will be overwritten by the result being computed, if any: its results are temporaries that may take over its memory. */
export const writeTarget = (): Tensor | null => target;
export function writing<T>(self: Tensor, compute: () => T): T {
  const before = target;
  target = self;
  try {
    return holding(compute);
  } finally {
    target = before;
  }
}
