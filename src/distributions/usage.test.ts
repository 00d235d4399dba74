import { expect, test } from 'vitest';
import { torch } from '../torch.ts';

test('learning a normal distribution by its density', () => {
  const { Normal, Independent, Categorical, MixtureSameFamily } = torch.distributions;
  const loc = torch.tensor([0.5], { requires_grad: true });
  const d = new Normal({ loc, scale: 2 });
  d.log_prob(torch.tensor([1.5]))
    .sum()
    .backward();
  expect(loc.grad?.item()).toBeCloseTo(0.25, 6);
  const mixture = new MixtureSameFamily(
    new Categorical({ logits: torch.zeros([2]) }),
    new Independent(new Normal(torch.zeros([2, 3]), 1), 1),
  );
  expect(mixture.sample([5]).shape).toEqual([5, 3]);
  // @ts-expect-error scale is missing
  expect(() => new Normal(1)).toThrow("Normal.__init__() missing 1 required positional argument: 'scale'");
  // In no_grad by sample, with gradient by rsample.
  expect([d.sample().requires_grad, d.rsample().requires_grad]).toEqual([false, true]);
});
