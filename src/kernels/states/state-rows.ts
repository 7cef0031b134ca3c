/**
 * How a step's rows belong together: each of another sequence, all of one, or all of one with the state behind every row
 * kept, so that the last rows can be taken back.
 */
export type StateRows = "apart" | "serial" | "each";
