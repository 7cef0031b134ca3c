/**
 * The template language, in a chunk of its own that comes while the weights do. Imports nothing that the worker's
 * code has: a chunk that imports from it makes some bundlers run the worker twice.
 */
import { fromJavaScript } from "./jinja/from-javascript.ts";
import { GLOBALS } from "./jinja/library/globals.ts";
import type { Statement } from "./jinja/parse/nodes.ts";
import { parse } from "./jinja/parse/parser.ts";
import { Renderer } from "./jinja/run/render.ts";
import { Scope } from "./jinja/run/scope.ts";
import { TemplateError } from "./jinja/template-error.ts";
import { startWork } from "./jinja/work.ts";

/**
 * A chat template in Jinja2, as `transformers` renders it: `trim_blocks`, `lstrip_blocks`, `break` and `continue`, `generation`,
 * an immutable sandbox, and its `tojson`, `strftime_now` and `raise_exception`.
 */
export class Template {
  readonly #body: readonly Statement[];

  /** @throws TemplateError, with the line, for what is no such template. */
  constructor(source: string) {
    this.#body = parse(source);
  }

  /**
   * `guard` is a character that breaks up markers spelled in the variables; the template sees the texts as if it were
   * not there, and what it writes still has it.
   * @throws TemplateError for what fails in Python too, and for what takes too long.
   */
  render(variables: Readonly<Record<string, unknown>> = {}, guard = ""): string {
    return startWork(guard, () => {
      const values = Object.entries(variables).filter(([, value]) => value !== undefined);
      const root = new Scope(
        new Scope(undefined, GLOBALS),
        values.map(([name, value]) => [name, fromJavaScript(value)]),
      );
      try {
        return new Renderer(root).text(this.#body);
      } catch (error) {
        // The stack of JavaScript, and its longest string.
        if (error instanceof RangeError) throw new TemplateError("needs too much memory");
        throw error;
      }
    });
  }
}
