/** BLAS and LAPACK operators of the torch namespace: https://docs.pytorch.org/docs/stable/torch.html#blas-and-lapack-operations */
import { einsums } from './einsum.ts';
import { torchDecompositions } from './linalg-decompositions.ts';
import { torchMatrices } from './linalg-matrices.ts';
import { torchSolving } from './linalg-solve.ts';
import { torchSpectral } from './linalg-spectral.ts';
import { lobpcgs } from './lobpcg.ts';
import { lowRanks } from './low-rank.ts';
import { productSums } from './product-sums.ts';
import { products } from './products.ts';

export const blas = {
  ...products,
  ...productSums,
  ...einsums,
  ...torchDecompositions,
  ...torchSolving,
  ...torchSpectral,
  ...torchMatrices,
  ...lowRanks,
  ...lobpcgs,
};
