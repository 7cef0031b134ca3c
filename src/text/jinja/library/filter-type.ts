import type { Given } from "../arguments.ts";
import type { Keywords, Value } from "../values.ts";

/** Filters and tests by name, for the filters that apply others. */
export interface FilterTools {
  filter(name: string, value: Value, args: readonly Value[], keywords: Keywords): Value;
  test(name: string, value: Value, args: readonly Value[], keywords: Keywords): boolean;
}

interface Call {
  readonly tools: FilterTools;
  readonly args: readonly Value[];
  readonly keywords: Keywords;
}

export type Filter = readonly [
  signature: string,
  run: (value: Value, given: Given, call: Call) => Value,
];
