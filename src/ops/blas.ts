/** BLAS and LAPACK operators of the torch namespace: https://docs.pytorch.org/docs/stable/torch.html#blas-and-lapack-operations */
import { einsums } from './einsum.ts';
import { products } from './products.ts';

export const blas = { ...products, ...einsums };
