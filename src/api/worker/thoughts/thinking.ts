import type { Constraint } from "../../../constraint/constraint.ts";
import type { Tokenizer } from "../../../text/types.ts";
import type { ChannelParser } from "../answer/channel-parser.ts";
import { ThoughtConstraint } from "./thought-constraint.ts";
import { ThoughtParser } from "./thought-parser.ts";
import type { Thoughts } from "./thoughts.ts";

export { planThoughts } from "./thoughts.ts";

/** Tokens at the end of a prompt among which the marker is that opens a thought. */
const END = 32;

/** What splits and holds answers to this prompt; undefined where the model does not think. */
export function thoughtsOf(
  tokenizer: Tokenizer,
  { markers, budget }: Thoughts,
  prompt: readonly number[],
):
  | {
      parser(): ChannelParser;
      constraint(inner: Constraint | undefined): Constraint | undefined;
    }
  | undefined {
  if (!markers) return undefined;
  const end = tokenizer.decode(prompt.slice(-END), { special: true }).trimEnd();
  const opened = end.endsWith(markers.open);
  // The template has answered for the model that there is no thought.
  const closed = end.endsWith(markers.close);
  return {
    parser: () => new ThoughtParser(markers, opened),
    constraint: (inner) =>
      closed || (!inner && budget === undefined)
        ? inner
        : ThoughtConstraint.create(tokenizer, markers, opened, { budget, inner }),
  };
}
