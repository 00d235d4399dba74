/** Recurrent layers against numbers of PyTorch 2.11. */
import { expect, test } from 'vitest';
import torch, { nn } from '../index.ts';
import type { Tensor } from '../ops/methods.ts';

/** sin(k), sin(2k), ... in a shape: what PyTorch's numbers below were made of. */
const sines = (shape: readonly number[], k = 1): Tensor => {
  const count = shape.reduce((n, d) => n * d, 1);
  return torch.tensor(Array.from({ length: count }, (_, i) => Math.sin((i + 1) * k))).reshape([...shape]);
};
const near = (t: Tensor, expected: readonly number[], digits = 4): void => {
  const found = Array.from(t.detach().double().numpy() as Float64Array);
  expect(found.length).toBe(expected.length);
  for (const [i, x] of found.entries()) expect(x, `element ${i}`).toBeCloseTo(expected[i], digits);
};

test('a bidirectional LSTM of two layers over packed sequences of different lengths', () => {
  torch.manual_seed(0);
  const lstm = new nn.LSTM(2, 3, 2, { bidirectional: true });
  const packed = nn.utils.rnn.pack_padded_sequence(sines([4, 3, 2]), [2, 4, 3], false, false);
  expect(packed.batch_sizes.tolist()).toEqual([3, 3, 2, 1]);
  const [out, [h, c]] = lstm(packed);
  const [padded, lengths] = nn.utils.rnn.pad_packed_sequence(out);
  expect(lengths.tolist()).toEqual([2, 4, 3]);
  near(
    padded,
    [
      -0.176027, 0.032304, 0.133302, -0.202281, -0.204656, -0.136693, -0.194417, 0.02581, 0.100157, -0.227419, -0.200999, -0.190804,
      -0.194529, 0.020413, 0.058042, -0.164231, -0.164583, -0.197116, -0.253214, 0.052874, 0.169226, -0.144812, -0.156945, -0.09487,
      -0.28192, 0.038812, 0.130376, -0.221912, -0.197394, -0.195254, -0.278438, 0.023526, 0.050519, -0.134313, -0.1291, -0.210963, 0.0, 0.0,
      0.0, 0.0, 0.0, 0.0, -0.321264, 0.045416, 0.145278, -0.199418, -0.184803, -0.183434, -0.314826, 0.020292, 0.040304, -0.092001,
      -0.083221, -0.199974, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -0.337737, 0.048945, 0.153263, -0.141814, -0.141179, -0.137316, 0.0, 0.0, 0.0,
      0.0, 0.0, 0.0,
    ],
  );
  near(
    h,
    [
      -0.37223, -0.173985, 0.105738, -0.053391, -0.294209, -0.019229, 0.561781, -0.083425, -0.124642, -0.199286, -0.137834, 0.080337,
      -0.31757, -0.155754, -0.083175, -0.343234, -0.078692, -0.317527, -0.253214, 0.052874, 0.169226, -0.337737, 0.048945, 0.153263,
      -0.314826, 0.020292, 0.040304, -0.202281, -0.204656, -0.136693, -0.227419, -0.200999, -0.190804, -0.164231, -0.164583, -0.197116,
    ],
  );
  near(
    c,
    [
      -0.730174, -0.280954, 0.253213, -0.079626, -0.576044, -0.062403, 0.770141, -0.208972, -0.579252, -0.425836, -0.367624, 0.367852,
      -0.586851, -0.343589, -0.19348, -0.582073, -0.1355, -0.720704, -0.589842, 0.10325, 0.366893, -0.808325, 0.097585, 0.311415, -0.652114,
      0.047006, 0.074001, -0.451404, -0.552157, -0.207058, -0.52775, -0.679139, -0.281979, -0.356776, -0.625301, -0.299449,
    ],
  );
  out.data.sum().backward();
  const weight = new Map(lstm.named_parameters()).get('weight_hh_l0')!;
  near(
    weight.grad!,
    [
      0.001089, -0.000364, -0.000227, -0.00502, 0.007096, 0.002174, -0.010408, 0.000916, 0.002941, 0.000537, 0.000395, -0.000005, -0.00323,
      0.005788, 0.001538, -0.005961, 0.00172, 0.001798, -0.006722, 0.011643, 0.003549, 0.085716, -0.037015, -0.026785, 0.019512, -0.023487,
      -0.007925, -0.001196, -0.000587, 0.000394, -0.012672, 0.01385, 0.004899, -0.024107, 0.002786, 0.006679,
    ],
  );
});

test('dropout is between layers only, by the CPU stream', () => {
  torch.manual_seed(0);
  const gru = new nn.GRU(2, 3, 2, { dropout: 0.5 });
  torch.manual_seed(1);
  near(gru(sines([3, 2]))[0], [-0.059007, -0.323179, -0.143275, 0.350114, -0.348176, -0.164456, 0.551307, -0.334801, -0.188676]);
});

test('a layer is its cells in a row', () => {
  torch.manual_seed(2);
  const rnn = new nn.RNN(2, 3, { nonlinearity: 'relu', batch_first: true });
  const cell = new nn.RNNCell(2, 3, { nonlinearity: 'relu' });
  cell.load_state_dict(new Map([...rnn.state_dict()].map(([name, t]) => [name.replace('_l0', ''), t])));
  const x = sines([4, 3, 2]);
  let h: Tensor | null = null;
  for (let t = 0; t < 3; t++) h = cell(x.select(1, t), h);
  const [out, last] = rnn(x);
  near(out.select(1, 2), Array.from(h!.detach().numpy() as Float32Array), 6);
  near(last, Array.from(h!.detach().numpy() as Float32Array), 6);
});

test('sequences are padded, packed and back', () => {
  const sequences = [sines([2]), sines([3], 2)];
  const back = nn.utils.rnn.unpack_sequence(nn.utils.rnn.pack_sequence(sequences, false));
  sequences.forEach((s, i) => {
    near(back[i], s.tolist() as number[], 6);
  });
});

test('errors are those of PyTorch', () => {
  const gru = new nn.GRU(2, 3);
  expect(() => gru(torch.ones([2, 4]))).toThrow('input.size(-1) must be equal to input_size. Expected 2, got 4');
  expect(() => gru(torch.ones([2, 1, 2]), torch.zeros([1, 2, 3]))).toThrow('Expected hidden size (1, 1, 3), got [1, 2, 3]');
  expect(() => new nn.LSTM(2, 3, { proj_size: 3 })).toThrow('proj_size has to be smaller than hidden_size');
});
