/**
 * Keeps the collector's guess about short lives right.
 *
 * V8 watches where objects are made, and makes those of a place whose objects lived long in old memory from then on. While programs are
 * compiled everything lives long, and the places are the very ones that every later step goes through: what a step leaves behind would then be
 * held by old garbage until the next full collection, and each small collection would copy several steps' graphs (a third of a step's time on
 * the host). So that guess is turned off, for the process. Engines that have no such switch do without.
 */
export function keepGraphsYoung(): void {
  try {
    globalThis.process.getBuiltinModule('node:v8').setFlagsFromString('--no-allocation-site-pretenuring');
  } catch {
    // Not Node, or one without the switch.
  }
}
