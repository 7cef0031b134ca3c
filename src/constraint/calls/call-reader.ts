import { ArgumentsReader, openEnd } from "./arguments-reader.ts";
import type { CallSyntax } from "./syntaxes.ts";

/** A piece of an answer's text, or of one of its calls. */
export interface CallPart {
  content?: string;
  tool_calls?: {
    index: number;
    id?: string;
    type?: "function";
    function: { name?: string; arguments: string };
  }[];
}

export interface CallReaderOptions {
  readonly syntax: CallSyntax;
  /** Names of the tools that may be called. */
  readonly names: readonly string[];
  /** Whether an argument of a tool is a text that stands as it is. */
  readonly isText: (tool: string, key: string) => boolean;
  /** What calls nothing has a form of its own: a call without a mark is one to the letter alone. */
  readonly strict?: boolean;
  /** The answer is calls alone. */
  readonly required?: boolean;
}

const SPACE_AT_END = /\s+$/;
/** Spaces that `constrainCalls` lets through where an answer begins as a call. */
const SPACE_AT_START = /^\s*(\{?)\s*/;

/**
 * Takes calls out of a text that comes in pieces, cut anywhere. The text is what `constrainCalls` lets through; of a call
 * that is cut short, it gives what has come.
 */
export class CallReader {
  /** Control tokens that are to come in the text, by their spelling. */
  readonly controls: readonly string[];
  private readonly options: CallReaderOptions;
  private state: "start" | "text" | "free" | "open" | "name" | "arguments" | "close" | "next";
  /** What has come and is not told yet. */
  private held = "";
  /** What stands in front of the next call's name. */
  private opening: string;
  private calls = 0;
  private reader: ArgumentsReader | undefined;

  constructor(options: CallReaderOptions) {
    this.options = options;
    const { trigger, begin, call, markers } = options.syntax;
    this.controls = markers;
    if (options.required) this.state = "open";
    else this.state = trigger === undefined ? "start" : "text";
    this.opening = begin + call[0];
  }

  push(text: string): CallPart[] {
    this.held += text;
    const parts: CallPart[] = [];
    while (this.step(parts));
    return parts;
  }

  /** The text is over: gives what was kept back. */
  end(): CallPart[] {
    const rest = ["start", "text"].includes(this.state) ? this.held : "";
    this.held = "";
    return rest === "" ? [] : [{ content: rest }];
  }

  /** Goes on as far as is certain; whether it may go further. */
  private step(parts: CallPart[]): boolean {
    const { call, separator } = this.options.syntax;
    switch (this.state) {
      case "start":
        return this.start();
      case "text":
        return this.text(parts);
      case "free":
        tell(parts, this.held);
        this.held = "";
        return false;
      case "open":
        // Behind a thought lines may end.
        this.held = this.held.trimStart();
        return this.skip(this.opening, "name");
      case "name":
        return this.name(parts);
      case "arguments":
        return this.read(parts);
      case "close":
        return this.skip(call[2], "next");
      case "next":
        this.opening = `${separator ?? ""}${call[0]}`;
        return separator !== undefined && this.skip(this.opening, "name");
    }
  }

  private skip(text: string, then: CallReader["state"]): boolean {
    if (!this.held.startsWith(text)) return false;
    this.held = this.held.slice(text.length);
    this.state = then;
    return true;
  }

  /** Calls have no mark: whether the answer begins as one. */
  private start(): boolean {
    const { names, strict, syntax } = this.options;
    const { call, prelude = "" } = syntax;
    let { held } = this;
    if (held === "" || (prelude !== "" && prelude.startsWith(held))) return false;
    if (prelude !== "" && held.startsWith(prelude)) held = held.slice(prelude.length);
    else if (!strict) held = held.replace(SPACE_AT_START, "$1");
    const known = names.map((name) => call[0] + name + call[1]);
    if (known.some((text) => held.startsWith(text))) {
      this.held = held;
      this.state = "open";
      return true;
    }
    if (known.some((text) => text.startsWith(held))) return false;
    this.state = "free";
    return true;
  }

  /** Text up to the mark of a call; spaces in front of that are no part of it. */
  private text(parts: CallPart[]): boolean {
    const trigger = this.options.syntax.trigger!;
    const at = this.held.indexOf(trigger);
    const certain = at >= 0 ? at : this.held.length - openEnd(this.held, trigger);
    const shown = this.held.slice(0, certain).replace(SPACE_AT_END, "");
    tell(parts, shown);
    this.held = this.held.slice(at >= 0 ? at : shown.length);
    if (at >= 0) this.state = "open";
    return at >= 0;
  }

  private name(parts: CallPart[]): boolean {
    const [, between] = this.options.syntax.call;
    const length = this.held.indexOf(between);
    if (length < 0) return false;
    const name = this.held.slice(0, length);
    this.held = this.held.slice(length + between.length);
    const { syntax, isText } = this.options;
    this.reader = new ArgumentsReader(syntax, (key) => isText(name, key));
    const begun = { id: newId(), type: "function", function: { name, arguments: "" } } as const;
    parts.push({ tool_calls: [{ index: this.calls, ...begun }] });
    this.calls += 1;
    this.state = "arguments";
    return true;
  }

  private read(parts: CallPart[]): boolean {
    const { json, rest } = this.reader!.push(this.held);
    this.held = rest ?? "";
    const index = this.calls - 1;
    if (json !== "") parts.push({ tool_calls: [{ index, function: { arguments: json } }] });
    if (rest !== undefined) this.state = "close";
    return rest !== undefined;
  }
}

function tell(parts: CallPart[], content: string): void {
  if (content !== "") parts.push({ content });
}

/** Nine letters and digits: some templates take no other ids. */
const newId = (): string =>
  Array.from({ length: 9 }, () => Math.floor(Math.random() * 36).toString(36)).join("");
