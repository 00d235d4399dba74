/**
 * What distributions share: parameters broadcast together, probabilities and logits, sums over event dims, texts as Python writes them.
 */
import { type DType, finfo, getDefaultDtype } from '../dtype/dtype.ts';
import { pythonFloat } from '../nn/repr.ts';
import { tensor as coreTensor } from '../ops/creation.ts';
import { functional, Tensor, torchFunctions as torch } from '../ops/methods.ts';

export type Size = readonly number[];
/** A parameter of a distribution. */
export type Parameter = Tensor | number;

/** Something that a distribution has no closed form for. */
export class NotImplementedError extends Error {
  constructor(message = '') {
    super(message);
    this.name = 'NotImplementedError';
  }
}

export const euler_constant = 0.5772156649015329;

export const tensor = (...args: Parameters<typeof coreTensor>): Tensor => coreTensor(...args) as Tensor;

/** Dtype and device of a tensor, for another like it. */
export const like = (x: Tensor): { dtype: DType; device: string } => ({ dtype: x.dtype, device: x.device });

/** Values broadcast together; numbers get the first tensor's dtype and device. */
export function broadcast_all(...values: readonly Parameter[]): Tensor[] {
  if (!values.every((v) => typeof v === 'number' || v instanceof Tensor))
    throw new Error('Input arguments must all be instances of Number, torch.Tensor or objects implementing __torch_function__.');
  const first = values.find((v) => v instanceof Tensor);
  const options = first === undefined ? { dtype: getDefaultDtype() } : like(first);
  return torch.broadcast_tensors(values.map((v) => (typeof v === 'number' ? tensor(v, options) : v))) as Tensor[];
}

/** Rows of the probabilities that logits stand for; `is_binary`: each logit stands alone. */
export const logits_to_probs = (logits: Tensor, is_binary = false): Tensor =>
  is_binary ? torch.sigmoid(logits) : functional.softmax(logits, -1);

/** Within the open interval (0, 1). */
export function clamp_probs(probs: Tensor): Tensor {
  const { eps } = finfo(probs.dtype);
  return probs.clamp(eps, 1 - eps);
}

export function probs_to_logits(probs: Tensor, is_binary = false): Tensor {
  const clamped = clamp_probs(probs);
  return is_binary ? clamped.log().sub(clamped.neg().log1p()) : clamped.log();
}

export const standardNormal = (shape: Size, x: Tensor): Tensor => torch.empty([...shape], like(x)).normal_();
export const uniform = (shape: Size, x: Tensor): Tensor => torch.rand([...shape], like(x));
export const filled = (shape: Size, value: number, x: Tensor): Tensor => torch.full([...shape], value, like(x));

/** The sum over the last `dims` dims. */
export const sumRightmost = (x: Tensor, dims: number): Tensor =>
  dims === 0 ? x : x.reshape([...x.shape.slice(0, x.ndim - dims), -1]).sum(-1);

/** `1 - x`, as `sub` computes it. */
export const oneMinus = (x: Tensor): Tensor => torch.rsub(x, 1);

const trilMask = (n: number, diag: number, device: string): Tensor => {
  const index = torch.arange(n, { device });
  return index.lt(index.view([-1, 1]).add(diag + 1));
};

/** The lower triangle of matrices, in row order. */
export function tril_matrix_to_vec(mat: Tensor, diag = 0): Tensor {
  const n = mat.shape[mat.ndim - 1];
  if (diag < -n || diag >= n) throw new Error(`diag (${diag}) provided is outside [${-n}, ${n - 1}].`);
  return mat.at('...', trilMask(n, diag, mat.device));
}

/** Lower triangular matrices from vectors in row order. */
export function vec_to_tril_matrix(vec: Tensor, diag = 0): Tensor {
  const length = vec.shape[vec.ndim - 1];
  const root = (-(1 + 2 * diag) + Math.sqrt((1 + 2 * diag) ** 2 + 8 * length + 4 * Math.abs(diag) * (diag + 1))) / 2;
  const n = Math.round(root);
  if (n - root > finfo(vec.dtype).eps)
    throw new Error(
      `The size of last dimension is ${length} which cannot be expressed as the lower triangular part of a square D x D matrix.`,
    );
  const mat = torch.zeros([...vec.shape.slice(0, -1), n, n], like(vec));
  mat.set(['...', trilMask(n, diag, vec.device)], vec);
  return mat;
}

export const isAllTrue = (x: Tensor): boolean => Boolean(x.all().item());

/** A shape as `torch.Size` prints. */
export const sizeText = (shape: Size): string => `torch.Size([${shape.join(', ')}])`;

/** A value as an f-string writes it: a 0-d tensor is its element. */
export function valueText(x: Tensor | number): string {
  if (typeof x === 'number') return pythonFloat(x);
  if (x.ndim > 0) return x.toString();
  const element = x.item();
  return x.dtype.is_floating_point ? pythonFloat(element) : String(element);
}
