/** torch.linalg: https://docs.pytorch.org/docs/stable/linalg.html */
import { linalgDecompositions } from './linalg-decompositions.ts';
import { linalgLeastSquares } from './linalg-least-squares.ts';
import { linalgMatrices } from './linalg-matrices.ts';
import { linalgNorms } from './linalg-norms.ts';
import { linalgSolving } from './linalg-solve.ts';
import { linalgSpectral } from './linalg-spectral.ts';

export const linalgOps = {
  ...linalgDecompositions,
  ...linalgSolving,
  ...linalgLeastSquares,
  ...linalgSpectral,
  ...linalgMatrices,
  ...linalgNorms,
};
