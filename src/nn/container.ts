/**
 * Containers: https://docs.pytorch.org/docs/stable/nn.html#containers
 *
 * A container's entries are its fields, as everywhere; positions are the names 0, 1, 2, ... Nothing is counted beside them, so that a copy of the
 * fields is a copy of the container.
 */
import { Tensor } from '../ops/methods.ts';
import { Module } from './module.ts';
import { isParameter, Parameter } from './parameter.ts';

type Step = Module & ((x: Tensor) => Tensor);
type Fields = Record<string, unknown>;
const fieldsOf = (m: Module): Fields => m as unknown as Fields;

function positionOf(index: number, length: number): number {
  const i = index < 0 ? index + length : index;
  if (i < 0 || i >= length) throw new RangeError(`index ${index} is out of range`);
  return i;
}

/** Entries numbered from 0. */
class List<T> extends Module {
  protected read(): T[] {
    return this.named_children().map(([, m]) => m as T);
  }
  protected write(entries: readonly T[]): void {
    const fields = fieldsOf(this);
    const before = this.length;
    entries.forEach((entry, i) => {
      fields[i] = entry;
    });
    for (let i = entries.length; i < before; i++) delete fields[`${i}`];
  }
  override get length(): number {
    return this.read().length;
  }
  at(index: number): T {
    const entries = this.read();
    return entries[positionOf(index, entries.length)];
  }
  set(index: number, entry: T): void {
    const entries = this.read();
    entries[positionOf(index, entries.length)] = entry;
    this.write(entries);
  }
  append(entry: T): this {
    this.write([...this.read(), entry]);
    return this;
  }
  extend(entries: Iterable<T>): this {
    this.write([...this.read(), ...entries]);
    return this;
  }
  insert(index: number, entry: T): void {
    const entries = this.read();
    if (index < -entries.length || index > entries.length) throw new RangeError(`Index out of range: ${index}`);
    entries.splice(index < 0 ? index + entries.length : index, 0, entry);
    this.write(entries);
  }
  pop(index = -1): T {
    const entries = this.read();
    const [removed] = entries.splice(positionOf(index, entries.length), 1);
    this.write(entries);
    return removed;
  }
  [Symbol.iterator](): Iterator<T> {
    return this.read()[Symbol.iterator]();
  }
}

/** Modules one after the other; named ones come as a Map or an object. https://docs.pytorch.org/docs/stable/generated/torch.nn.Sequential.html */
export class Sequential extends Module {
  constructor(...modules: readonly Step[] | readonly [ReadonlyMap<string, Step>] | readonly [Readonly<Record<string, Step>>]) {
    super();
    const [first] = modules;
    const named: readonly (readonly [string, Step])[] =
      first === undefined || first instanceof Module
        ? (modules as readonly Step[]).map((m, i) => [`${i}`, m] as const)
        : first instanceof Map
          ? [...(first as ReadonlyMap<string, Step>)]
          : Object.entries(first as Readonly<Record<string, Step>>);
    for (const [name, m] of named) this.add_module(name, m);
  }
  override get length(): number {
    return this.named_children().length;
  }
  /** seq[index]; whoever knows what is there says so: `seq.at<nn.Linear>(0).weight`. */
  at<M extends Module = Step>(index: number): M {
    const steps = this.named_children();
    return steps[positionOf(index, steps.length)][1] as Module as M;
  }
  append(module: Step): this {
    this.add_module(`${this.length}`, module);
    return this;
  }
  extend(modules: Iterable<Step>): this {
    for (const m of modules) this.append(m);
    return this;
  }
  override forward(input: Tensor): Tensor {
    let x = input;
    for (const [, m] of this.named_children()) x = (m as Step)(x);
    return x;
  }
  [Symbol.iterator](): Iterator<Step> {
    return this.named_children()
      .map(([, m]) => m as Step)
      [Symbol.iterator]();
  }
}

/** https://docs.pytorch.org/docs/stable/generated/torch.nn.ModuleList.html */
export class ModuleList<M extends Module = Module> extends List<M> {
  constructor(modules: Iterable<M> = []) {
    super();
    this.extend(modules);
  }
}

/** Entries by name. */
class Dictionary<T> extends Module {
  protected names(): string[] {
    return this.named_children().map(([name]) => name);
  }
  override get length(): number {
    return this.names().length;
  }
  keys(): string[] {
    return this.names();
  }
  values(): T[] {
    return this.names().map((name) => fieldsOf(this)[name] as T);
  }
  items(): [string, T][] {
    return this.names().map((name) => [name, fieldsOf(this)[name] as T]);
  }
  has(name: string): boolean {
    return this.names().includes(name);
  }
  get(name: string): T {
    if (!this.has(name)) throw new RangeError(`KeyError: '${name}'`);
    return fieldsOf(this)[name] as T;
  }
  set(name: string, entry: T): this {
    fieldsOf(this)[name] = entry;
    return this;
  }
  pop(name: string): T {
    const found = this.get(name);
    delete fieldsOf(this)[name];
    return found;
  }
  clear(): void {
    for (const name of this.names()) delete fieldsOf(this)[name];
  }
  update(entries: ReadonlyMap<string, T> | Readonly<Record<string, T>>): this {
    for (const [name, entry] of entries instanceof Map ? entries : Object.entries(entries)) this.set(name, entry);
    return this;
  }
  [Symbol.iterator](): Iterator<string> {
    return this.names()[Symbol.iterator]();
  }
}

/** https://docs.pytorch.org/docs/stable/generated/torch.nn.ModuleDict.html */
export class ModuleDict<M extends Module = Module> extends Dictionary<M> {
  constructor(modules: ReadonlyMap<string, M> | Readonly<Record<string, M>> = {}) {
    super();
    this.update(modules);
  }
}

const parameterOf = (t: Tensor): Parameter => (isParameter(t) ? t : new Parameter(t));

/** Tensors become parameters. https://docs.pytorch.org/docs/stable/generated/torch.nn.ParameterList.html */
export class ParameterList extends List<Parameter> {
  constructor(values: Iterable<Tensor> = []) {
    super();
    this.extend(values);
  }
  protected override read(): Parameter[] {
    return Object.values(fieldsOf(this)).filter((x): x is Parameter => x instanceof Tensor);
  }
  protected override write(entries: readonly Tensor[]): void {
    super.write(entries.map(parameterOf));
  }
}

/** Tensors become parameters. https://docs.pytorch.org/docs/stable/generated/torch.nn.ParameterDict.html */
export class ParameterDict extends Dictionary<Parameter> {
  constructor(parameters: ReadonlyMap<string, Tensor> | Readonly<Record<string, Tensor>> = {}) {
    super();
    this.update(parameters);
  }
  protected override names(): string[] {
    return Object.entries(fieldsOf(this)).flatMap(([name, value]) => (value instanceof Tensor ? [name] : []));
  }
  override set(name: string, entry: Tensor): this {
    return super.set(name, parameterOf(entry));
  }
}
