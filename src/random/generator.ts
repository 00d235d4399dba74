/**
 * `torch.Generator` for the CPU: the engine, and the second normal of a Box-Muller pair that waits for the next call.
 *
 * `get_state()` has PyTorch's layout of 5,056 bytes, so states can be exchanged with it (`torch.get_rng_state()`).
 * The streams that are drawn from it are in `cpu-streams.ts`. Counter-based generators of other devices are not here.
 */
import { Mt19937 } from './mt19937.ts';

/** The seed of a fresh `torch.Generator()`. */
export const DEFAULT_SEED = 67280421310721;

const STATE_BYTES = 5056;
const LEGACY_BYTES = 5048;
const WORDS = 624;
const WORDS_AT = 24;
const NORMAL_AT = WORDS_AT + 8 * WORDS; // x, y, rho, then the flag
const FLOAT_AT = LEGACY_BYTES;

export class Generator {
  readonly device: string;
  readonly engine: Mt19937;
  /** The float64 normal that the scalar path has made and not yet handed out. */
  nextNormal: number | undefined = undefined;
  /** PyTorch keeps one of float32 too; no kernel fills it, but a state may carry it. */
  nextFloatNormal: number | undefined = undefined;

  constructor(device = 'cpu') {
    this.device = device;
    this.engine = new Mt19937(DEFAULT_SEED);
  }

  /** Any 64-bit integer; a negative one counts from 2^64 down, as in PyTorch. */
  manual_seed(seed: number | bigint): this {
    const value = BigInt(seed);
    if (value < -(2n ** 63n) || value >= 2n ** 64n) throw new Error('Overflow when unpacking long long');
    this.engine.seed(value);
    this.nextNormal = undefined;
    this.nextFloatNormal = undefined;
    return this;
  }

  /** Seeds from the system's entropy and returns the seed (53 bits, as in PyTorch). */
  seed(): number {
    const words = globalThis.crypto.getRandomValues(new Uint32Array(2));
    const seed = (words[0]! & 0x1fffff) * 2 ** 32 + words[1]!;
    this.manual_seed(seed);
    return seed;
  }

  /** The seed last set: a number while it is safe, else a bigint. */
  initial_seed(): number | bigint {
    const seed = this.engine.initialSeed;
    return seed <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(seed) : seed;
  }

  get_state(): Uint8Array {
    const bytes = new Uint8Array(STATE_BYTES);
    const view = new DataView(bytes.buffer);
    const { seed, left, next, words } = this.engine.getState();
    view.setBigUint64(0, seed, true);
    view.setInt32(8, left, true);
    view.setInt32(12, 1, true);
    view.setUint32(16, next, true);
    for (let i = 0; i < WORDS; i++) view.setUint32(WORDS_AT + 8 * i, words[i]!, true);
    if (this.nextNormal !== undefined) {
      view.setFloat64(NORMAL_AT + 8, this.nextNormal, true);
      view.setInt32(NORMAL_AT + 24, 1, true);
    }
    if (this.nextFloatNormal !== undefined) {
      view.setFloat32(FLOAT_AT, this.nextFloatNormal, true);
      bytes[FLOAT_AT + 4] = 1;
    }
    return bytes;
  }

  set_state(bytes: Uint8Array): this {
    const legacy = bytes.length === LEGACY_BYTES;
    if (!legacy && bytes.length !== STATE_BYTES) {
      throw new Error(
        `Expected either a CPUGeneratorImplStateLegacy of size ${LEGACY_BYTES} or a CPUGeneratorImplState of size ${STATE_BYTES} ` +
          `but found the input RNG state size to be ${bytes.length}`,
      );
    }
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const left = view.getInt32(8, true);
    const next = view.getUint32(16, true);
    if (view.getInt32(12, true) !== 1 || left <= 0 || left > WORDS || next > WORDS) throw new Error('Invalid mt19937 state');
    const words = Uint32Array.from({ length: WORDS }, (_, i) => view.getUint32(WORDS_AT + 8 * i, true));
    this.engine.setState({ seed: view.getBigUint64(0, true), left, next, words });
    const valid = view.getInt32(NORMAL_AT + 24, true) !== 0;
    if (!valid) this.nextNormal = undefined;
    else if (legacy) {
      this.nextNormal = view.getFloat64(NORMAL_AT + 16, true) * Math.sin(2 * Math.PI * view.getFloat64(NORMAL_AT, true));
    } else this.nextNormal = view.getFloat64(NORMAL_AT + 8, true);
    this.nextFloatNormal = !legacy && bytes[FLOAT_AT + 4] ? view.getFloat32(FLOAT_AT, true) : undefined;
    return this;
  }

  /** A generator at the same position, independent from here on: a lazy draw captures this. */
  clone_state(): Generator {
    const copy = new Generator(this.device);
    copy.engine.setState(this.engine.getState());
    copy.nextNormal = this.nextNormal;
    copy.nextFloatNormal = this.nextFloatNormal;
    return copy;
  }
}

/** `torch.default_generator`, seeded from the system's entropy. */
export const defaultGenerator: Generator = new Generator();
defaultGenerator.seed();
