import type { Notation } from "../json/notation.ts";
import type { CallSyntax } from "./syntaxes.ts";

type Bracket = "object" | "array";

/** What ends a word or a number. */
const WORD = /^[^\s,:"()[\]{}]+/;
/** A string of JSON, as far as it has come, and its end. */
const STRING = /^(?:[^"\\]|\\.)*/s;
const WHOLE_STRING = /^"(?:[^"\\]|\\.)*"/s;

/** Makes JSON of a call's arguments, however a syntax writes them; they come in pieces, cut anywhere. */
export class ArgumentsReader {
  private readonly syntax: CallSyntax;
  private readonly isText: (key: string) => boolean;
  private held = "";
  private json = "";
  /** Brackets that are open. */
  private readonly open: Bracket[] = [];
  private phase: "begin" | "item" | "value" | "string" | "text" | "behind" | "next" | "over" =
    "begin";
  /** Where an item is to come, none has come before it. */
  private first = true;
  /** How the text ends that is being read. */
  private end = "";

  constructor(syntax: CallSyntax, isText: (key: string) => boolean) {
    this.syntax = syntax;
    this.isText = isText;
  }

  /** The JSON that is certain by now, beyond what has been given; `rest`: what comes behind the arguments, once they are over. */
  push(text: string): { readonly json: string; readonly rest?: string } {
    this.held += text;
    this.json = "";
    while (this.step());
    return this.phase === "over" ? { json: this.json, rest: this.held } : { json: this.json };
  }

  /** How the innermost object or array is written. */
  private get notation(): Notation {
    return this.open.length === 1 ? this.syntax.arguments : this.syntax.values;
  }

  /** Whether something was read. */
  private step(): boolean {
    switch (this.phase) {
      case "begin":
        return this.skip(this.syntax.arguments.brackets.object[0], () => this.begin("object"));
      case "item":
        return this.item();
      case "value":
        return this.value();
      case "string":
        return this.string();
      case "text":
        return this.text();
      case "behind":
        return this.behind();
      case "next":
        return this.next();
      case "over":
        return false;
    }
  }

  /** Takes a text that is there as a whole. */
  private skip(text: string, then: () => void): boolean {
    if (!this.held.startsWith(text)) return false;
    this.held = this.held.slice(text.length);
    then();
    return true;
  }

  private begin(bracket: Bracket): void {
    this.json += bracket === "object" ? "{" : "[";
    this.open.push(bracket);
    [this.phase, this.first] = ["item", true];
  }

  /** A key, an item of an array, or the end of either. */
  private item(): boolean {
    const bracket = this.open.at(-1)!;
    const close = this.notation.brackets[bracket][1];
    const closed = this.skip(close, () => {
      this.json += bracket === "object" ? "}" : "]";
      this.open.pop();
      this.first = false;
      this.phase = this.open.length > 0 ? "behind" : "over";
    });
    if (closed) return true;
    if (close.startsWith(this.held)) return false;
    if (bracket === "array") {
      this.separate();
      this.phase = "value";
      return true;
    }
    return this.key();
  }

  private key(): boolean {
    const { entry, raw } = this.notation;
    const [before, between] = entry;
    if (!this.held.startsWith(before)) return false;
    const rest = this.held.slice(before.length);
    const length = raw ? rest.indexOf(between) : (WHOLE_STRING.exec(rest)?.[0].length ?? -1);
    if (length < 0 || !rest.startsWith(between, length)) return false;
    const key = raw ? JSON.stringify(rest.slice(0, length)) : rest.slice(0, length);
    const { texts } = this.syntax;
    this.held = rest.slice(length + between.length);
    this.separate();
    this.json += `${key}: `;
    const text = texts?.raw && this.open.length === 1 && this.isText(JSON.parse(key));
    if (text) this.beginText(texts.raw!);
    else this.phase = "value";
    return true;
  }

  private separate(): void {
    if (!this.first) this.json += ", ";
    this.first = false;
  }

  private beginText({ begin, without }: NonNullable<Notation["raw"]>): void {
    this.held = this.held.slice(begin.length);
    this.json += '"';
    [this.phase, this.end] = ["text", without];
  }

  private value(): boolean {
    const { raw, brackets, words } = this.syntax.values;
    const { held } = this;
    if (held === "") return false;
    if (raw && held.startsWith(raw.begin)) {
      this.beginText(raw);
      return true;
    }
    if (raw?.begin.startsWith(held)) return false;
    for (const bracket of ["object", "array"] as const)
      if (this.skip(brackets[bracket][0], () => this.begin(bracket))) return true;
    if (held.startsWith('"')) {
      this.json += '"';
      this.held = held.slice(1);
      this.phase = "string";
      return true;
    }
    const word = WORD.exec(held)?.[0] ?? "";
    // More of it may come.
    if (word.length === held.length) return false;
    const index = words.indexOf(word);
    this.json += index < 0 ? word : ["null", "true", "false"][index]!;
    this.held = held.slice(word.length);
    this.phase = "behind";
    return true;
  }

  /** The rest of a string of JSON. */
  private string(): boolean {
    const part = STRING.exec(this.held)![0];
    this.json += part;
    this.held = this.held.slice(part.length);
    if (!this.held.startsWith('"')) return false;
    this.json += '"';
    this.held = this.held.slice(1);
    this.phase = "behind";
    return true;
  }

  /** The rest of a string that stands as it is. */
  private text(): boolean {
    const at = this.held.indexOf(this.end);
    let certain = at >= 0 ? at : this.held.length - openEnd(this.held, this.end);
    // Both halves of a character are told at once.
    if (at < 0 && /[\ud800-\udbff]$/.test(this.held.slice(0, certain))) certain -= 1;
    this.json += JSON.stringify(this.held.slice(0, certain)).slice(1, -1);
    this.held = this.held.slice(certain);
    if (at < 0) return false;
    this.json += '"';
    // What ends it is a part of the value, or stands behind it.
    const own = this.notationOfText.end;
    this.held = this.held.slice(own.length);
    this.phase = "behind";
    return true;
  }

  private get notationOfText(): NonNullable<Notation["raw"]> {
    return (this.syntax.texts ?? this.syntax.values).raw!;
  }

  private behind(): boolean {
    const { entry } = this.notation;
    const behind = this.open.at(-1) === "object" ? entry[2] : "";
    return this.skip(behind, () => {
      this.phase = "next";
    });
  }

  private next(): boolean {
    const { comma, brackets } = this.notation;
    const close = brackets[this.open.at(-1)!][1];
    const item = (): void => {
      this.phase = "item";
    };
    if (comma === "" || this.held.startsWith(close)) {
      item();
      return true;
    }
    return this.skip(comma, item);
  }
}

/** Length of the longest end of a text that begins another one. */
export function openEnd(text: string, other: string): number {
  for (let length = Math.min(other.length - 1, text.length); length > 0; length -= 1)
    if (other.startsWith(text.slice(-length))) return length;
  return 0;
}
