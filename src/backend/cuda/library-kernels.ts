/** Library functions that have a kernel on a card: by name, the words and the launch of a call. */
import type { HostStep } from '../../schedule/plan.ts';
import type { LibraryBlocks, MatmulBlock } from '../arguments.ts';
import { attentionWords, planAttention } from './attention.ts';

/** A call's block of argument words, and its launch. */
export interface LibraryBlock extends MatmulBlock {
  readonly name: string;
  readonly source: () => string;
  /** Blocks; with a zero there is nothing to do. */
  readonly grid: readonly [number, number, number];
  readonly threads: number;
  readonly sharedBytes: number;
  readonly scratchBytes: number;
}

interface LibraryKernel {
  words(step: HostStep): number;
  plan(step: HostStep, symbols: ArrayLike<number>, multiprocessors: number): LibraryBlock;
}

const kernels: Readonly<Record<string, LibraryKernel>> = {
  scaled_dot_product_attention: { words: attentionWords, plan: planAttention },
};
export const libraryKernelNames: ReadonlySet<string> = new Set(Object.keys(kernels));

export const libraryBlocks = (multiprocessors: number): LibraryBlocks => ({
  words: (step) => kernels[step.fn.name]?.words(step) ?? 0,
  plan: (step, symbols) => kernels[step.fn.name].plan(step, symbols, multiprocessors),
});
