/** Files that were cut or changed: an error that says something, or a value; never a crash of another kind, never more memory than the file has. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import torch, { nn } from '../../index.ts';

const value = {
  model: new nn.Sequential(new nn.Linear(3, 2), new nn.BatchNorm1d(2)).state_dict(),
  list: [1, 2.5, 'text', null, 2n ** 70n, Object.freeze([1, 2]), new Set([1]), Uint8Array.of(1, 2)],
  half: torch.ones([3, 4]).to(torch.bfloat16).t(),
  param: new nn.Parameter(torch.ones([2])),
};
const files = [
  ['zip', torch.save({ ...value, eighth: torch.ones([2]).to(torch.float8_e5m2) })],
  ['legacy', torch.save(value, null, { _use_new_zipfile_serialization: false })],
] as const;

/** True when loading gave something; throws for errors that a user should not see. */
function survives(bytes: Uint8Array, weights_only: boolean): boolean {
  try {
    torch.load(bytes, { weights_only });
    return true;
  } catch (error) {
    expect(error).toBeInstanceOf(Error);
    const { name, message } = error as Error;
    expect(['Error', 'UnpicklingError'], `${name}: ${message}`).toContain(name);
    expect(message).not.toMatch(/^internal:|is not a function|of undefined|of null|Invalid typed array|out of range/);
    return false;
  }
}

describe.each(files)('the %s format', (_, file) => {
  test('is read when whole', () => {
    expect(survives(file, true)).toBe(true);
  });
  test('cut anywhere is an error', () => {
    for (let end = 0; end < file.length; end += 7) expect(survives(file.subarray(0, end), true), `${end} bytes`).toBe(false);
  });
  test('with bytes changed', () => {
    const change = fc.tuple(
      fc.nat(file.length - 1),
      fc.oneof(fc.constantFrom(0, 1, 0x28, 0x2e, 0x52, 0x62, 0x75, 0x7f, 0x80, 0xff), fc.nat(255)),
    );
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 6 }), fc.boolean(), (changes, weights_only) => {
        const bytes = file.slice();
        for (const [at, byte] of changes) bytes[at] = byte;
        survives(bytes, weights_only);
      }),
      { numRuns: 3000 },
    );
  });
  test('with a piece moved, doubled or taken out', () => {
    const at = fc.nat(file.length);
    fc.assert(
      fc.property(at, at, at, fc.boolean(), (a, b, c, weights_only) => {
        const [from, to] = a < b ? [a, b] : [b, a];
        survives(new Uint8Array(Buffer.concat([file.subarray(0, c), file.subarray(from, to), file.subarray(c)])), weights_only);
        survives(new Uint8Array(Buffer.concat([file.subarray(0, from), file.subarray(to)])), weights_only);
      }),
      { numRuns: 500 },
    );
  });
});

test('any bytes at all', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      survives(bytes, false);
    }),
    { numRuns: 2000 },
  );
});

describe('lengths that no file has', () => {
  const pickles: readonly (readonly [string, string])[] = [
    ['a string of 4 GiB', '\x80\x02X\xff\xff\xff\xffabc.'],
    ['bytes of 2^63', '\x80\x04\x8e\x00\x00\x00\x00\x00\x00\x00\x80abc.'],
    ['an int of 4 GiB', '\x80\x02\x8b\xff\xff\xff\xffabc.'],
    ['a list from nothing', '\x80\x02e.'],
    ['a memo that was never filled', '\x80\x02h\x07.'],
    ['a tuple of what is not there', '\x80\x02\x87.'],
    ['a call of a number', '\x80\x02K\x01)R.'],
    ['a dict as a key', '\x80\x02}}K\x01s.'],
    ['a size that is no number', '\x80\x02ctorch\nSize\nX\x01\x00\x00\x00a\x85\x85R.'],
    ['a tensor of a string', '\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(X\x01\x00\x00\x00aK\x00))\x89Ntq\x00R.'],
    ['a parameter of a string', '\x80\x02ctorch._utils\n_rebuild_parameter\nX\x01\x00\x00\x00a\x88N\x87R.'],
  ];
  test.each(pickles)('%s', (_, pickle) => {
    const file = Buffer.from(torch.save(0, null, { _use_new_zipfile_serialization: false }));
    const at = file.indexOf(Buffer.of(0x80, 2, 0x4b, 0, 0x2e));
    const bytes = new Uint8Array(Buffer.concat([file.subarray(0, at), Buffer.from(pickle, 'latin1')]));
    expect(survives(bytes, true)).toBe(false);
  });
});
