/** A multilayer perceptron learns XOR. `npm run example xor` */
import torch, { nn, optim, type Tensor } from 'torch-magpie';

class Xor extends nn.Module {
  hidden = new nn.Linear(2, 8);
  out = new nn.Linear(8, 1);
  override forward(x: Tensor): Tensor {
    return this.out(this.hidden(x).tanh());
  }
}

torch.manual_seed(0);
const inputs = torch.tensor([
  [0, 0],
  [0, 1],
  [1, 0],
  [1, 1],
]);
const targets = torch.tensor([[0], [1], [1], [0]]);
const model = new Xor();
const optimizer = new optim.Adam(model.parameters(), { lr: 0.05 });
const criterion = new nn.BCEWithLogitsLoss();

for (let step = 0; step <= 200; step++) {
  const loss = criterion(model(inputs), targets);
  optimizer.zero_grad();
  loss.backward();
  optimizer.step();
  if (step % 50 === 0) console.log(`step ${step}: loss ${loss.item().toFixed(4)}`);
}
console.log(model);
console.log(
  '0^0 0^1 1^0 1^1 =',
  torch
    .no_grad(() => model(inputs).sigmoid().round())
    .flatten()
    .tolist<number[]>()
    .join(' '),
);
