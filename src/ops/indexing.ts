/** Reading and writing by indices and masks: https://docs.pytorch.org/docs/stable/torch.html#indexing-slicing-joining-mutating-ops */
import { advancedIndexing } from './indexing-advanced.ts';
import { gathering } from './indexing-gather.ts';
import { masking } from './indexing-mask.ts';
import { scattering } from './indexing-scatter.ts';
import { windowing } from './indexing-window.ts';
import { nonzeros } from './nonzero.ts';

export const indexing = { ...gathering, ...scattering, ...masking, ...nonzeros, ...advancedIndexing, ...windowing };
