/** What a template cannot be parsed or rendered for. */
export class TemplateError extends Error {
  /** Counted from 1; set by the innermost statement that knows it. */
  line: number | undefined;
  /** The template itself called `raise_exception`: the message is its own. */
  readonly raised: boolean;

  constructor(message: string, options: { line?: number; raised?: boolean } = {}) {
    super(message);
    this.line = options.line;
    this.raised = options.raised ?? false;
  }
}
