/** BLAS and LAPACK operators of the torch namespace: https://docs.pytorch.org/docs/stable/torch.html#blas-and-lapack-operations */

export const blas = {};
