/**
 * Kullback-Leibler divergences. https://docs.pytorch.org/docs/stable/distributions.html#module-torch.distributions.kl
 *
 * The closed forms are in `kl-same.ts` (two of a family) and `kl-mixed.ts`; they are registered here, not where they are written, so that a bundler
 * that takes files without used exports for superfluous cannot drop them.
 */
import { registerMixedFamilies } from './kl-mixed.ts';
import * as registry from './kl-registry.ts';
import { registerSameFamilies } from './kl-same.ts';

registerSameFamilies();
registerMixedFamilies();

/** The divergence of p from q, over their batch. */
export const kl_divergence: typeof registry.kl_divergence = registry.kl_divergence;
/** Registers the divergence of two classes. */
export const register_kl: typeof registry.register_kl = registry.register_kl;
