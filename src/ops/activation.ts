/** Activations: https://docs.pytorch.org/docs/stable/nn.functional.html#non-linear-activation-functions */
import type { Prim } from '../graph/prim.ts';
import { declare, overload } from './declare.ts';
import { elementwise } from './elementwise.ts';

const inverseSqrt2 = Math.SQRT1_2;
const geluErf = (x: Prim): Prim => x.mul(0.5).mul(x.mul(inverseSqrt2).scalar('erf').add(1));
const betaTanh = Math.SQRT2 * (2 / Math.sqrt(Math.PI)) * 0.5;
const geluTanh = (x: Prim): Prim => x.mul(0.5).mul(x.add(x.mul(x).mul(x).mul(0.044715)).mul(betaTanh).scalar('tanh').add(1));
const geluCall = elementwise<'none' | 'tanh'>({
  name: 'gelu',
  kind: 'DEFAULT',
  body: ([x], approximate) => (approximate === 'tanh' ? geluTanh(x) : geluErf(x)),
  gradient: (g, [x], _, approximate) => {
    if (approximate === 'tanh') {
      const cube = x.mul(x).mul(x);
      const inner = x.add(cube.mul(0.044715)).mul(betaTanh);
      const t = inner.scalar('tanh');
      const left = t.add(1).mul(0.5);
      const right = x
        .mul(0.5)
        .mul(t.mul(t).neg().add(1))
        .mul(
          x
            .mul(x)
            .mul(3 * 0.044715)
            .add(1)
            .mul(betaTanh),
        );
      return [g.mul(left.add(right))];
    }
    const cdf = x.mul(inverseSqrt2).scalar('erf').add(1).mul(0.5);
    const pdf = x
      .mul(x)
      .mul(-0.5)
      .exp()
      .mul(1 / Math.sqrt(2 * Math.PI));
    return [g.mul(cdf.add(x.mul(pdf)))];
  },
  check: (compute) => {
    if (!compute.is_floating_point) throw new Error(`"GeluKernelImpl" not implemented for '${compute.kind === 'bool' ? 'Bool' : 'Long'}'`);
  },
});

export const activations = {
  gelu: declare(
    {
      doc: 'Gaussian error linear unit, exact or with the tanh approximation. https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.gelu.html',
      as: 'function',
    },
    overload('gelu(Tensor self, *, str approximate="none") -> Tensor', (x, approximate) => {
      if (approximate !== 'none' && approximate !== 'tanh') throw new Error(`approximate argument must be either none or tanh.`);
      return geluCall([x], approximate, approximate);
    }),
  ),
};
