/** The part of asciichart that is used; the package has no types of its own. */
declare module 'asciichart' {
  const asciichart: {
    plot(
      series: readonly number[] | readonly (readonly number[])[],
      config?: { height?: number; min?: number; max?: number; format?: (value: number) => string; colors?: readonly string[] },
    ): string;
    readonly blue: string;
    readonly red: string;
    readonly reset: string;
  };
  export default asciichart;
}
