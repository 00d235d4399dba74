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

/** Says that `x` will be read after the module's call that makes it has returned, though nothing reaches it: it is stored like any other. */
export function keep<T extends Tensor>(x: T): T {
  x.storage.value.kept = true;
  x.storage.value.presumedDead = null;
  return x;
}

/** A module path, and how many results have been made at it since the outermost call began. */
interface PathCount {
  readonly path: string;
  made: number;
  /** The number of the outermost call. */
  call: number;
  readonly inside: Map<string, PathCount>;
}
const newPath = (path: string): PathCount => ({ path, made: 0, call: 0, inside: new Map() });
/** Paths are the same from call to call, so they are kept as a tree. */
let paths = newPath('');
let pathCount = 0;
const mostPaths = 65536;
let outermostCalls = 0;

/** Where a module was called from last, and the path that it had there. */
export class PathMemo {
  from: PathCount | null = null;
  name = '';
  to: PathCount | null = null;
}

/** The modules being called, outermost first. */
class ModulePath {
  readonly call: number = ++outermostCalls;
  readonly #stack: PathCount[] = [];
  at: PathCount;
  constructor() {
    if (pathCount > mostPaths) {
      paths = newPath('');
      pathCount = 0;
    }
    this.at = paths;
  }
  push(name: string, memo: PathMemo): void {
    const { at } = this;
    this.#stack.push(at);
    let next = memo.to;
    if (next === null || memo.from !== at || memo.name !== name) {
      next = at.inside.get(name) ?? this.#make(name);
      memo.from = at;
      memo.name = name;
      memo.to = next;
    }
    if (next.call !== this.call) {
      next.call = this.call;
      next.made = 0;
    }
    this.at = next;
  }
  #make(name: string): PathCount {
    const made = newPath(this.at.path === '' ? name : `${this.at.path}.${name}`);
    this.at.inside.set(name, made);
    pathCount++;
    return made;
  }
  pop(): void {
    this.at = this.#stack.pop()!;
  }
}

export interface ModuleScope {
  /** Tensors with memory of their own made since the outermost call began; of a young module their views too. */
  readonly made: Tensor[];
  readonly path: ModulePath;
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
  current = { made: [], path: new ModulePath(), shown: [], young: calls <= youngCalls };
  return current;
}
export function closeScope(): void {
  current = null;
}

/** The module path of the call being made, for errors. */
export const currentPlace = (): string => (current === null ? '' : current.path.at.path);

/** Notes a result made inside a module's forward. */
export function noteResult(tensor: Tensor): void {
  if (current === null) return;
  const { at, call } = current.path;
  const { storage } = tensor;
  storage.madeIn = call;
  storage.place = at;
  storage.placeCount = at.made++;
  current.made.push(tensor);
}
/** Notes a view made inside a module's forward: while the module is young it may be the only handle on its memory. */
export function noteViewMade(tensor: Tensor): void {
  if (current?.young && tensor.storage.madeIn === current.path.call) current.made.push(tensor);
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
/**
 * After a flush nobody needs to ask any more. What has been made so far in the module being called is in memory now, so it is nothing to be
 * presumed dead; this list must not hold it: a forward that is too large for one program would keep all that it ever made.
 */
export function forgetCandidates(): void {
  if (current !== null) current.made.length = 0;
  if (candidates.length > 0) candidates = [];
}

let walks = 0;
/** A number for a look at what is in reach: `Storage.reached` takes it. */
export const newWalk = (): number => ++walks;

/** At the return of the outermost module: what was made inside and is not in reach (its storage's `reached` is not `walk`) is presumed dead. */
export function presumeDead(scope: ModuleScope, walk: number): void {
  const { made } = scope;
  for (let i = 0; i < made.length; i++) {
    const { storage } = made[i];
    if (storage.reached === walk) continue;
    if (kept.size > 0 && kept.has(positionText(storage))) continue;
    const { value } = storage;
    if (value.buffer !== null || value.kept) continue;
    value.presumedDead = storage;
    if (scope.young) candidates.push({ handle: new WeakRef(made[i]), value, position: storage });
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
