/** Complex numbers: https://docs.pytorch.org/docs/stable/complex_numbers.html */

export const complexOps = {};
