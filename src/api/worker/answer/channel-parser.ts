import type { AnswerDelta } from "../../protocol.ts";

/** A piece of one of the channels that an answer has. */
export type Part = Omit<AnswerDelta, "index">;

/**
 * Takes a channel (the thoughts, the calls of tools) out of an answer's text. To add one: write a class of this
 * interface, and have `parsersFor` (parsers.ts) load and make it where the request and the model need it; answers that
 * need none load nothing and go no other way than before.
 *
 * Parsers stand in a row. The first gets the text as it is generated, in pieces of any length, cut anywhere; what it gives
 * as `content` is the text of the next, and the `content` of the last is searched for the request's stop strings and
 * shown. Parts of other channels pass the rest of the row unseen, in their order. A parser makes one answer, and keeps
 * back what may be the beginning of a marker until it knows.
 */
export interface ChannelParser {
  /**
   * Control tokens that the parser looks for, by their spelling (`<|tool_call_start|>`): they come in its text, and must
   * be taken out of it. Other control tokens write nothing. Markers that are ordinary text need not be named.
   */
  readonly controls: readonly string[];
  /** Whether what comes now is a thought: its tokens are counted. */
  readonly thinking?: boolean;
  /** Takes the next characters, and gives what is certain. */
  push(text: string): Part[];
  /** The answer has ended, by itself or by a limit: gives what was kept back. */
  end(): Part[];
}
