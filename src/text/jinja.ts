/**
 * The template language, in a chunk of its own that comes while the weights do. Imports nothing that the worker's
 * code has: a chunk that imports from it makes some bundlers run the worker twice.
 */
import { Template as PlainTemplate } from "@huggingface/jinja";
import { rewriteStrips, STRIP_VARIABLES } from "./strip-calls.ts";

/** A template whose strings are stripped as Python strips them. */
export class Template extends PlainTemplate {
  constructor(source: string) {
    super(source);
    rewriteStrips(this.parsed);
  }

  override render(variables: Record<string, unknown> = {}): string {
    return super.render({ ...variables, ...STRIP_VARIABLES });
  }
}
