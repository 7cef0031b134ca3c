import type { GrammarBuilder, Rule } from "../grammar/grammar.ts";
import { JsonRules } from "../json/json-text.ts";
import { type Expression, literal } from "../syntax/expression.ts";
import { ToolArguments } from "./arguments.ts";
import type { CallSyntax } from "./syntaxes.ts";
import { writeAnchored, writeFreeText } from "./write-free-text.ts";

/** A tool that may be called. */
export interface CallableTool {
  readonly name: string;
  /** JSON schema of the arguments. */
  readonly parameters: unknown;
  /** Where that stands in the request. */
  readonly field: string;
}

/** What calls an answer may have. */
export interface CallChoice {
  /** none: free text without calls; auto: free text, or calls, or text and then calls; required: calls alone. */
  readonly mode: "none" | "auto" | "required";
  /** Those that may be called. */
  readonly tools: readonly CallableTool[];
  /** Whether an answer may have several calls. */
  readonly parallel: boolean;
}

/** Most calls of one answer. */
const MOST_CALLS = 16;

/** Writes answers that call tools. */
export function writeCalls(
  builder: GrammarBuilder,
  syntax: CallSyntax,
  choice: CallChoice,
  spell: (text: string) => Expression = literal,
): Rule {
  const writer = new CallWriter(builder, syntax, choice, spell);
  return builder.own((from, to) => {
    if (choice.mode === "required") writer.calls(from, to);
    else writer.freely(from, to);
  });
}

class CallWriter {
  private readonly builder: GrammarBuilder;
  private readonly syntax: CallSyntax;
  private readonly choice: CallChoice;
  private readonly spell: (text: string) => Expression;
  private readonly rules: JsonRules;

  constructor(
    builder: GrammarBuilder,
    syntax: CallSyntax,
    choice: CallChoice,
    spell: (text: string) => Expression,
  ) {
    this.builder = builder;
    this.syntax = syntax;
    this.choice = choice;
    this.spell = spell;
    this.rules = new JsonRules(builder, syntax.values, spell);
  }

  /** One call, or several. `begun`: so much of the first is written already. */
  calls(from: number, to: number, begun = ""): void {
    const { builder, rules, syntax } = this;
    const { begin, call, separator, end } = syntax;
    let at = builder.state();
    const behind = builder.state();
    rules.text(from, (begin + call[0]).slice(begun.length), at);
    rules.text(behind, end, to);
    const { named } = this;
    const several = this.choice.parallel && separator !== undefined;
    for (let i = 0; i < (several ? MOST_CALLS : 1); i += 1) {
      const [called, next] = [builder.state(), builder.state()];
      builder.call(at, named, called);
      builder.skip(called, behind);
      if (several && i + 1 < MOST_CALLS) rules.text(called, separator + call[0], next);
      at = next;
    }
  }

  /** Any text, which goes on as calls where one begins. */
  freely(from: number, to: number): void {
    const { builder, syntax } = this;
    const { trigger, prelude } = syntax;
    const called = this.choice.mode === "auto" ? builder.state() : undefined;
    if (trigger === undefined) writeAnchored(builder, from, called, to);
    else writeFreeText(builder, from, trigger, this.spell(trigger), called, to);
    if (called === undefined) return;
    // What begins freely goes on as it would have been begun.
    this.calls(called, to, trigger ?? OPENED);
    if (prelude !== undefined) {
      const behind = builder.state();
      this.rules.text(from, prelude, behind);
      this.calls(behind, to);
    }
  }

  /** From a call's name to its end. */
  private get named(): Rule {
    const { builder, syntax, spell, choice } = this;
    const texts = syntax.texts && new JsonRules(builder, syntax.texts, spell);
    const values = this.rules;
    const rules = {
      arguments:
        syntax.arguments === syntax.values
          ? values
          : new JsonRules(builder, syntax.arguments, spell),
      values,
      texts,
    };
    return builder.rule("call", (from, to) => {
      const [, between, close] = syntax.call;
      for (const tool of choice.tools) {
        const [at, behind] = [builder.state(), builder.state()];
        values.text(from, tool.name + between, at);
        builder.call(at, new ToolArguments(tool.parameters, tool.field).write(rules), behind);
        values.text(behind, close, to);
      }
    });
  }
}

/** What an answer begins with that is a call without a mark. */
export const OPENED = '{"name"';
