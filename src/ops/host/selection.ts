/**
 * Selecting from a row without sorting it, with the answers of PyTorch's CPU kernels where elements are equal.
 *
 * Which of several equal elements `topk`, `median`, `mode` and `kthvalue` name is decided by the algorithms they call: `std::nth_element`,
 * `std::partial_sort` and `std::sort` of libstdc++ (https://gcc.gnu.org/onlinedocs/libstdc++/latest-doxygen/a00626_source.html), and a quickselect of PyTorch's own. These are the
 * same algorithms step for step, over positions instead of elements.
 */
export type Less = (a: number, b: number) => boolean;

const insertionLimit = 16;
const depthLimit = (n: number): number => 2 * (31 - Math.clz32(n));

/** `std::sort` of items[first, last). */
export function sort(items: Int32Array, first: number, last: number, less: Less): void {
  if (first === last) return;
  introsort(items, first, last, depthLimit(last - first), less);
  if (last - first <= insertionLimit) {
    insertionSort(items, first, last, less);
    return;
  }
  insertionSort(items, first, first + insertionLimit, less);
  for (let i = first + insertionLimit; i < last; i++) linearInsert(items, i, less);
}

/** `std::nth_element`: afterwards items[nth] is what a full sort would put there, smaller ones before it. */
export function nthElement(items: Int32Array, first: number, nth: number, last: number, less: Less): void {
  if (first === last || nth === last) return;
  let depth = depthLimit(last - first);
  while (last - first > 3) {
    if (depth-- === 0) {
      heapSelect(items, first, nth + 1, last, less);
      swap(items, first, nth);
      return;
    }
    const cut = partitionAtPivot(items, first, last, less);
    if (cut <= nth) first = cut;
    else last = cut;
  }
  insertionSort(items, first, last, less);
}

/** `std::partial_sort`: items[first, middle) become the smallest ones, sorted. */
export function partialSort(items: Int32Array, first: number, middle: number, last: number, less: Less): void {
  heapSelect(items, first, middle, last, less);
  for (let end = middle; end - first > 1; ) {
    end--;
    popHeap(items, first, end, end, less);
  }
}

function introsort(items: Int32Array, first: number, last: number, depth: number, less: Less): void {
  while (last - first > insertionLimit) {
    if (depth-- === 0) {
      partialSort(items, first, last, last, less);
      return;
    }
    const cut = partitionAtPivot(items, first, last, less);
    introsort(items, cut, last, depth, less);
    last = cut;
  }
}

function swap(items: Int32Array, i: number, j: number): void {
  const t = items[i];
  items[i] = items[j];
  items[j] = t;
}

function partitionAtPivot(items: Int32Array, start: number, end: number, less: Less): number {
  medianToFirst(items, start, start + 1, start + ((end - start) >> 1), end - 1, less);
  let first = start + 1;
  let last = end;
  const pivot = start;
  for (;;) {
    while (less(items[first], items[pivot])) first++;
    last--;
    while (less(items[pivot], items[last])) last--;
    if (first >= last) return first;
    swap(items, first, last);
    first++;
  }
}

function medianToFirst(items: Int32Array, result: number, a: number, b: number, c: number, less: Less): void {
  const [x, y, z] = [items[a], items[b], items[c]];
  if (less(x, y)) swap(items, result, less(y, z) ? b : less(x, z) ? c : a);
  else swap(items, result, less(x, z) ? a : less(y, z) ? c : b);
}

function insertionSort(items: Int32Array, first: number, last: number, less: Less): void {
  for (let i = first + 1; i < last; i++) {
    const v = items[i];
    if (less(v, items[first])) {
      items.copyWithin(first + 1, first, i);
      items[first] = v;
    } else linearInsert(items, i, less);
  }
}

function linearInsert(items: Int32Array, at: number, less: Less): void {
  const v = items[at];
  while (less(v, items[at - 1])) {
    items[at] = items[at - 1];
    at--;
  }
  items[at] = v;
}

function heapSelect(items: Int32Array, first: number, middle: number, last: number, less: Less): void {
  const n = middle - first;
  if (n >= 2) for (let parent = (n - 2) >> 1; parent >= 0; parent--) adjustHeap(items, first, parent, n, items[first + parent], less);
  for (let i = middle; i < last; i++) if (less(items[i], items[first])) popHeap(items, first, middle, i, less);
}

function popHeap(items: Int32Array, first: number, last: number, result: number, less: Less): void {
  const v = items[result];
  items[result] = items[first];
  adjustHeap(items, first, 0, last - first, v, less);
}

function adjustHeap(items: Int32Array, first: number, start: number, n: number, v: number, less: Less): void {
  let hole = start;
  let child = start;
  while (child < (n - 1) >> 1) {
    child = 2 * (child + 1);
    if (less(items[first + child], items[first + child - 1])) child--;
    items[first + hole] = items[first + child];
    hole = child;
  }
  if ((n & 1) === 0 && child === (n - 2) >> 1) {
    child = 2 * (child + 1);
    items[first + hole] = items[first + child - 1];
    hole = child - 1;
  }
  for (let parent = (hole - 1) >> 1; hole > start && less(items[first + parent], v); parent = (hole - 1) >> 1) {
    items[first + hole] = items[first + parent];
    hole = parent;
  }
  items[first + hole] = v;
}

/** PyTorch's quickselect (kthvalue): afterwards items[k] is the k-th. `greater` is strict. */
export function quickSelect(items: Int32Array, k: number, greater: Less): void {
  let left = 0;
  let right = items.length - 1;
  for (;;) {
    if (right <= left) return;
    if (right === left + 1) {
      if (greater(items[left], items[right])) swap(items, left, right);
      return;
    }
    swap(items, left + ((right - left) >> 1), left + 1);
    if (greater(items[left + 1], items[right])) swap(items, left + 1, right);
    if (greater(items[left], items[right])) swap(items, left, right);
    if (greater(items[left + 1], items[left])) swap(items, left + 1, left);
    let i = left + 1;
    let j = right;
    const pivot = items[left];
    for (;;) {
      do i++;
      while (greater(pivot, items[i]));
      do j--;
      while (greater(items[j], pivot));
      if (j < i) break;
      swap(items, i, j);
    }
    swap(items, left, j);
    if (j <= k) left = i;
    if (j >= k) right = j - 1;
  }
}
