import { invalidArgument } from "../../errors.ts";
import type { Tokenizer } from "../../text/types.ts";
import { FIELDS, type Format, grammarOf, held, writeFormat } from "../constrain.ts";
import type { Constraint } from "../constraint.ts";
import { Matcher } from "../grammar/matcher.ts";
import { type MarkedTokenizer, markTokens } from "./marked-tokenizer.ts";
import type { CallSyntax } from "./syntaxes.ts";
import { type CallChoice, writeCalls } from "./write-calls.ts";

const marked = new WeakMap<Tokenizer, Map<string, MarkedTokenizer>>();

function markedBy(tokenizer: Tokenizer, { name, markers }: CallSyntax): MarkedTokenizer {
  const known = marked.get(tokenizer) ?? new Map<string, MarkedTokenizer>();
  marked.set(tokenizer, known);
  const view = known.get(name) ?? markTokens(tokenizer, markers);
  known.set(name, view);
  return view;
}

/**
 * What holds an answer to calls of tools: every call that it has parses and fits its tool's schema. `format`: what an
 * answer is held to that calls none. Throws invalid_argument, naming the place, for schemas that cannot be followed.
 */
export function constrainCalls(
  tokenizer: Tokenizer,
  syntax: CallSyntax,
  choice: CallChoice,
  format?: Format,
): Constraint {
  const view = markedBy(tokenizer, syntax);
  const either = choice.mode === "auto" ? format : undefined;
  if (either && syntax.trigger === undefined) checkApart(syntax, choice, either);
  const key = JSON.stringify([syntax.name, choice, either]);
  return held(view, key, "tools", (builder) => {
    const spell = (text: string) => view.spell(text);
    const mode = either ? "required" : choice.mode;
    const calls = writeCalls(builder, syntax, { ...choice, mode }, spell);
    if (mode !== "required") return calls;
    const text = either && writeFormat(builder, either);
    const root = builder.own((from, to) => {
      builder.call(from, calls, to);
      if (text) builder.call(from, text, to);
    });
    if (!("stripsLeadingSpace" in view && view.stripsLeadingSpace)) return root;
    return builder.own((from, to) => {
      const behind = builder.state();
      builder.bytes(from, 0x20, 0x20, behind);
      builder.call(behind, root, to);
      builder.call(from, root, to);
    });
  });
}

/** Throws where what calls nothing may begin as a call does, which has no mark. */
function checkApart({ call }: CallSyntax, { tools }: CallChoice, format: Format): void {
  const field = FIELDS[format.type];
  const matcher = new Matcher(
    grammarOf(field, (builder) => writeFormat(builder, format)),
    field,
  );
  for (const { name } of tools) {
    let place: ReturnType<Matcher["step"]> = matcher.start();
    for (const byte of new TextEncoder().encode(call[0] + name + call[1]))
      place = place && matcher.step(place, byte);
    if (place)
      throw invalidArgument(
        field,
        `its texts may begin as a call of ${JSON.stringify(name)} does: the model writes calls as JSON without a mark`,
        'Leave out the tools, or set tool_choice to "required" or "none".',
      );
  }
}
