import { Given } from "../arguments.ts";
import { TemplateError } from "../template-error.ts";
import type { Keywords, Value } from "../values.ts";
import type { Filter, FilterTools } from "./filter-type.ts";
import { LIST_FILTERS } from "./filters-of-lists.ts";
import { TEXT_FILTERS } from "./filters-of-texts.ts";
import { VALUE_FILTERS } from "./filters-of-values.ts";

const FILTERS: ReadonlyMap<string, Filter> = new Map([
  ...TEXT_FILTERS,
  ...VALUE_FILTERS,
  ...LIST_FILTERS,
]);

export const isFilter = (name: string): boolean => FILTERS.has(name);

export function runFilter(
  tools: FilterTools,
  name: string,
  value: Value,
  args: readonly Value[],
  keywords: Keywords,
): Value {
  const filter = FILTERS.get(name);
  if (!filter) throw new TemplateError(`there is no filter "${name}"`);
  const [signature, run] = filter;
  return run(value, new Given(name, signature, args, keywords), { tools, args, keywords });
}
