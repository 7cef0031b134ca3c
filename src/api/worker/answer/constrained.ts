import type { Format } from "../../../constraint/constrain.ts";
import type { Constraint } from "../../../constraint/constraint.ts";
import { loadLater } from "../../../errors.ts";
import type { Tokenizer } from "../../../text/types.ts";

/**
 * Makes what holds an answer to a format, one for each answer. Throws invalid_argument, naming the place, where it cannot
 * be followed. `lead`: how the text begins, before the first token that is drawn.
 */
export async function constrained(
  tokenizer: Tokenizer,
  format: Format,
  lead = "",
): Promise<() => Constraint> {
  const code = () => import("../../../constraint/constrain.ts");
  const { constrain } = await loadLater("constrained output", code);
  const first = constrain(tokenizer, format, lead);
  return () => first.fork();
}
