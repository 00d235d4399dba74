/**
 * Module scopes: which values are made inside the outermost module call, so that those that cannot be seen afterwards need no memory.
 *
 * A position is (module path, n-th call in it). A position that was read after it had been presumed dead is kept from then on.
 */
import type { Value } from '../graph/node.ts';
import type { Tensor } from './tensor.ts';

const kept = new Set<string>();

/** Values at this position are stored like any other from now on. */
export function keepPlace(position: string): void {
  kept.add(position);
}

export interface ModuleScope {
  /** Tensors made since the outermost call began, with their positions. */
  readonly made: { tensor: Tensor; position: string }[];
  readonly path: string[];
  readonly calls: Map<string, number>;
}

let current: ModuleScope | null = null;

export const currentScope = (): ModuleScope | null => current;

export function openScope(): ModuleScope {
  current = { made: [], path: [], calls: new Map() };
  return current;
}
export function closeScope(): void {
  current = null;
}

/** The module path of the call being made, for errors. */
export const currentPlace = (): string => (current === null ? '' : current.path.join('.'));

/** Notes a result made inside a module's forward. */
export function noteResult(tensor: Tensor): void {
  if (current === null) return;
  const path = current.path.join('.');
  const n = current.calls.get(path) ?? 0;
  current.calls.set(path, n + 1);
  current.made.push({ tensor, position: `${path}#${n}` });
}

/** At the return of the outermost module: what was made inside and is not reachable is presumed dead. */
export function presumeDead(scope: ModuleScope, reachable: ReadonlySet<unknown>): void {
  for (const { tensor, position } of scope.made) {
    if (reachable.has(tensor.storage) || kept.has(position)) continue;
    const value: Value = tensor.storage.value;
    if (value.buffer === null) value.presumedDead = position;
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
