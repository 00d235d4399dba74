/**
 * What belongs to a list of numbers, found one number at a time: for keys on hot paths, where making a string of them would cost more than
 * all that is looked up with it. The caller sees to it that one list is never the beginning of another, or that both may hold something.
 */
export class Trie<T> {
  readonly #next: Map<number, Trie<T>> = new Map();
  found: T | null = null;
  /** The place of the lists that go on with this number. */
  at(number: number): Trie<T> {
    let next = this.#next.get(number);
    if (next === undefined) {
      next = new Trie();
      this.#next.set(number, next);
    }
    return next;
  }
}
