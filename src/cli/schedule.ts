/**
 * How long to train and with which learning rate at each step.
 *
 * The rate rises linearly over the warm-up and then falls along a half cosine to zero at the last step. A budget in seconds
 * is turned into a number of steps once, after a tenth of the time, from the speed measured so far: from then on the
 * rate depends on the step alone, which is what makes a resumed run continue exactly. The price: a machine that changes
 * its speed later makes the run a little longer or shorter than asked.
 */
const warmupLimit = 100;
/** Steps left out of the measurement: the first ones compile. */
const unmeasuredSteps = 4;
const measuredShare = 0.1;

export interface PlanState {
  readonly totalSteps: number | undefined;
  readonly seconds: number;
}

export class TrainingPlan {
  readonly seconds: number;
  readonly peak: number;
  #totalSteps: number | undefined;
  /** The step at which this process began to observe: not 0 after a resume. */
  #firstStep: number | undefined;
  #measuredFrom: { step: number; elapsed: number } | undefined;

  constructor(budget: { seconds: number; steps?: number | undefined }, peak: number) {
    this.seconds = budget.seconds;
    this.#totalSteps = budget.steps;
    this.peak = peak;
  }

  get totalSteps(): number | undefined {
    return this.#totalSteps;
  }

  state(): PlanState {
    return { totalSteps: this.#totalSteps, seconds: this.seconds };
  }

  /** To be told of every finished step: how many are done, and the seconds since training began. */
  observe(stepsDone: number, elapsed: number): void {
    if (this.#totalSteps !== undefined) return;
    this.#firstStep ??= stepsDone - 1;
    if (stepsDone - this.#firstStep === unmeasuredSteps) this.#measuredFrom = { step: stepsDone, elapsed };
    if (elapsed >= this.seconds) {
      // Too slow to measure anything in time: what is done is what there is.
      this.#totalSteps = stepsDone;
      return;
    }
    const from = this.#measuredFrom;
    if (from === undefined || stepsDone === from.step || elapsed < this.seconds * measuredShare) return;
    const secondsPerStep = (elapsed - from.elapsed) / (stepsDone - from.step);
    this.#totalSteps = stepsDone + Math.max(0, Math.round((this.seconds - elapsed) / secondsPerStep));
  }

  isDone(stepsDone: number): boolean {
    return this.#totalSteps !== undefined && stepsDone >= this.#totalSteps;
  }

  /** For the step with this number, counted from 0. */
  learningRate(step: number): number {
    const warmup = this.#totalSteps === undefined ? warmupLimit : Math.max(1, Math.min(warmupLimit, Math.floor(this.#totalSteps / 10)));
    if (step < warmup) return (this.peak * (step + 1)) / warmup;
    if (this.#totalSteps === undefined) return this.peak;
    const share = Math.min(1, (step - warmup) / Math.max(1, this.#totalSteps - warmup));
    return this.peak * 0.5 * (1 + Math.cos(Math.PI * share));
  }

  /** Between 0 and 1. */
  progress(stepsDone: number, elapsed: number): number {
    return Math.min(1, this.#totalSteps === undefined ? elapsed / this.seconds : stepsDone / Math.max(1, this.#totalSteps));
  }

  secondsLeft(stepsDone: number, elapsed: number, secondsPerStep: number): number {
    return Math.max(0, this.#totalSteps === undefined ? this.seconds - elapsed : (this.#totalSteps - stepsDone) * secondsPerStep);
  }
}
