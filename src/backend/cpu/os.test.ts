import { describe, expect, test } from 'vitest';
import { openOs, requireOs, roundUp } from './os.ts';

describe('the operating system', () => {
  test('is available here, or says why not', () => {
    const answer = openOs();
    if (process.platform === 'linux' && process.arch === 'x64') expect(answer.status).toBe('available');
    else expect(answer).toMatchObject({ status: 'unavailable', reason: expect.stringContaining(process.platform) });
  });

  test('maps zeroed memory at the alignment that was asked for, and changes its protection', () => {
    const os = requireOs();
    for (const alignment of [os.pageBytes, 1 << 16, 2 << 20]) {
      const address = os.map(3 * os.pageBytes, alignment);
      expect(address % alignment).toBe(0);
      const bytes = new Uint8Array(os.view(address, 3 * os.pageBytes));
      expect(bytes.every((byte) => byte === 0)).toBe(true);
      bytes.fill(7);
      os.discard(address, os.pageBytes);
      expect([bytes[0], bytes[os.pageBytes]]).toEqual([0, 7]);
      os.protect(address, os.pageBytes, 'none');
      os.protect(address, os.pageBytes, 'read-write');
      os.unmap(address, roundUp(3 * os.pageBytes, os.pageBytes));
    }
  });

  test('claims an agreed address once', () => {
    const os = requireOs();
    const address = 0x6d61_0000_0000;
    expect(os.claim(address, os.pageBytes)).toBe('created');
    expect(os.claim(address, os.pageBytes)).toBe('taken');
    os.unmap(address, os.pageBytes);
    expect(os.claim(address, os.pageBytes)).toBe('created');
    os.unmap(address, os.pageBytes);
  });

  test('refuses a mapping larger than the address space with an error', () => {
    expect(() => requireOs().map(2 ** 50)).toThrow(/mmap of .* failed/);
  });

  test('knows memory and cores', () => {
    const os = requireOs();
    expect(os.availableMemory()).toBeGreaterThan(1 << 20);
    expect(os.availableMemory()).toBeLessThanOrEqual(process.getBuiltinModule('node:os').totalmem());
    expect(os.availableCores()).toBeGreaterThanOrEqual(1);
    expect(os.availableCores()).toBeLessThanOrEqual(process.getBuiltinModule('node:os').availableParallelism());
  });
});
