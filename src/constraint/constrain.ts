import { invalidArgument } from "../errors.ts";
import type { Tokenizer } from "../text/types.ts";
import type { Constraint } from "./constraint.ts";
import { type Grammar, GrammarBuilder, GrammarError, type Rule } from "./grammar/grammar.ts";
import { Matcher } from "./grammar/matcher.ts";
import { Shortest } from "./grammar/shortest.ts";
import { writeAnyObject, writeSchema } from "./json/compile-schema.ts";
import { type Compiled, TokenConstraint } from "./masks/token-constraint.ts";
import { TokenMasks } from "./masks/token-masks.ts";
import { type TokenTrie, tokenTrie } from "./masks/token-trie.ts";
import { writeExpression } from "./syntax/expression.ts";
import { writeGbnf } from "./syntax/gbnf.ts";
import { wholeMatch } from "./syntax/regex.ts";

/** What an answer's text must be. */
export type Format =
  | { readonly type: "json_object" }
  | { readonly type: "json_schema"; readonly schema: unknown }
  | { readonly type: "regex"; readonly pattern: string }
  | { readonly type: "grammar"; readonly grammar: string };

/** Where a format's parts stand in a request, for messages. */
export const FIELDS = {
  json_object: "response_format",
  json_schema: "response_format.json_schema.schema",
  regex: "response_format.pattern",
  grammar: "response_format.grammar",
} as const;

/** Formats that are kept compiled, the one used last kept longest. */
const MOST_KEPT = 8;

type SpacedTokenizer = Tokenizer & { readonly stripsLeadingSpace?: boolean };

interface Kept {
  readonly trie: TokenTrie;
  readonly formats: Map<string, Compiled>;
}

const kept = new WeakMap<Tokenizer, Kept>();

/**
 * What holds an answer of a model with this tokenizer to a format. Throws invalid_argument, naming the place, for a format
 * that cannot be followed. The first call takes in the vocabulary; formats that came before are at hand. `lead`: how the text
 * begins, before the first token.
 */
export function constrain(tokenizer: Tokenizer, format: Format, lead = ""): Constraint {
  const field = FIELDS[format.type];
  const constraint = held(tokenizer, JSON.stringify(format), field, (builder) =>
    withoutSpace(tokenizer, builder, writeFormat(builder, format), field),
  );
  if (lead === "") return constraint;
  // The first space is not there for some tokenizers.
  const behind = constraint.behindText(lead) ?? constraint.behindText(` ${lead}`);
  if (behind) return behind;
  throw invalidArgument(field, `no answer that it allows begins with ${JSON.stringify(lead)}`);
}

/**
 * What holds an answer to the grammar that `write` gives the root of, where it is not kept under `key`. Throws
 * invalid_argument, naming `field`, where there can be none.
 */
export function held(
  tokenizer: Tokenizer,
  key: string,
  field: string,
  write: (builder: GrammarBuilder) => Rule,
): TokenConstraint {
  let known = kept.get(tokenizer);
  if (!known) {
    known = { trie: tokenTrie(tokenizer), formats: new Map() };
    kept.set(tokenizer, known);
  }
  const { trie, formats } = known;
  let compiled = formats.get(key);
  formats.delete(key);
  if (!compiled) {
    const matcher = new Matcher(grammarOf(field, write), field);
    const shortest = new Shortest(matcher);
    compiled = { matcher, shortest, masks: new TokenMasks(matcher, shortest, trie), tokenizer };
    if (formats.size >= MOST_KEPT) formats.delete(formats.keys().next().value!);
  }
  formats.set(key, compiled);
  return new TokenConstraint(compiled);
}

/** Errors of making a grammar become invalid_argument, with the place. */
export function grammarOf(field: string, write: (builder: GrammarBuilder) => Rule): Grammar {
  const builder = new GrammarBuilder();
  try {
    return builder.finish(write(builder));
  } catch (error) {
    // The stack ends before what nests too deeply does.
    if (error instanceof RangeError) throw invalidArgument(field, "nests too deeply");
    if (!(error instanceof GrammarError)) throw error;
    throw invalidArgument(field, error.message);
  }
}

/** A rule behind a first space that is not a part of an answer's text, where the tokenizer takes one away. */
function withoutSpace(
  tokenizer: SpacedTokenizer,
  builder: GrammarBuilder,
  root: Rule,
  field: string,
): Rule {
  if (!tokenizer.stripsLeadingSpace) return root;
  const matcher = new Matcher(builder.finish(root), field);
  const spaced = matcher.step(matcher.start(), 0x20) !== null;
  return builder.own((from, to) => {
    const behind = builder.state();
    builder.bytes(from, 0x20, 0x20, behind);
    builder.call(behind, root, to);
    if (!spaced) builder.call(from, root, to);
  });
}

/** Writes the texts of a format. */
export function writeFormat(builder: GrammarBuilder, format: Format): Rule {
  switch (format.type) {
    case "json_object":
      return writeAnyObject(builder);
    case "json_schema":
      return writeSchema(builder, format.schema, FIELDS.json_schema);
    case "regex": {
      const text = wholeMatch(format.pattern);
      return builder.own((from, to) => writeExpression(builder, from, text, to));
    }
    case "grammar":
      return writeGbnf(builder, format.grammar);
  }
}
