import type { Provenance } from "../kept.ts";
import type { EvalOptions } from "../types.ts";
import type { Curve, Row } from "./results.ts";
import type { StreamSet } from "./streams.ts";

/** Changes when a field changes its meaning: src/eval/README.md describes them. */
export const SCHEMA = 1;

export interface EvalReport {
  readonly schema: typeof SCHEMA;
  readonly date: string;
  /** The command that makes this report. */
  readonly command: string;
  readonly provenance: Provenance;
  readonly model: {
    readonly name: string;
    readonly architecture: string;
    readonly parameters: number;
  };
  readonly adapter: { readonly description: string };
  readonly host: string;
  readonly options: EvalOptions;
  /** Losses count from this position on. */
  readonly from: number;
  readonly texts: readonly { readonly name: string; readonly sha256: string }[];
  /** Cells, and the seconds that running them took. */
  readonly cells: number;
  readonly seconds: number;
  readonly rows: readonly Row[];
  readonly curves: readonly Curve[];
  /** Where `stream` was among the tasks. */
  readonly streams?: readonly StreamSet[];
  readonly notices: readonly string[];
}
