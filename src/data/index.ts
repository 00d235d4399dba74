/** The `torch.utils.data` namespace. */
export { type Collated, default_collate } from './collate.ts';
export { DataLoader, type DataLoaderOptions } from './dataloader.ts';
export { type AnyDataset, ConcatDataset, Dataset, IterableDataset, random_split, Subset, TensorDataset } from './dataset.ts';
export { BatchSampler, RandomSampler, Sampler, SequentialSampler, SubsetRandomSampler, WeightedRandomSampler } from './sampler.ts';
