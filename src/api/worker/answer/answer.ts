import { StopMatcher, type StopResult } from "../../../text/stop-matcher.ts";
import { StreamingDecoder } from "../../../text/streaming-decoder.ts";
import type { Tokenizer } from "../../../text/types.ts";
import type { AnswerDelta } from "../../protocol.ts";
import type { FinishReason, TokenLogprob } from "../../types.ts";
import type { ChannelParser, Part } from "./channel-parser.ts";

interface AnswerOptions {
  /** Which of the request's answers it is. */
  readonly index?: number;
  /** Texts that end what is shown. */
  readonly stop: readonly string[];
  /** Texts that end the answer wherever they come: ends of a turn that the template writes and that no token stands for. */
  readonly ends?: readonly string[];
  readonly parsers?: readonly ChannelParser[];
}

/** Makes deltas of one answer's tokens: never half a character, never the beginning of a stop string or of a marker. */
export class Answer {
  /** A stop string was found: nothing more comes. */
  stopped = false;
  /** Tokens of thoughts so far, with their markers; undefined where none can come. */
  thoughtTokens: number | undefined;
  private called = false;
  /** Of tokens whose text is not shown yet. */
  private logprobs: TokenLogprob[] = [];
  private readonly index: number;
  private readonly parsers: readonly ChannelParser[];
  private readonly decoder: StreamingDecoder;
  /** Spellings of the control tokens that parsers look for. */
  private readonly controls: ReadonlyMap<number, string>;
  private readonly ends: StopMatcher;
  private readonly stops: StopMatcher;

  constructor(tokenizer: Tokenizer, { index = 0, stop, ends = [], parsers = [] }: AnswerOptions) {
    this.index = index;
    this.parsers = parsers;
    this.decoder = new StreamingDecoder(tokenizer);
    if (parsers.some(({ thinking }) => thinking !== undefined)) this.thoughtTokens = 0;
    const spellings = parsers.flatMap(({ controls }) => controls);
    this.controls = new Map(
      spellings.flatMap((spelling) => {
        const ids = tokenizer.encode(spelling, { special: true });
        return ids.length === 1 ? [[ids[0]!, spelling]] : [];
      }),
    );
    // What is shown cannot hold them either; parsers must not keep one back.
    this.ends = new StopMatcher(parsers.length > 0 ? ends : []);
    this.stops = new StopMatcher([...stop, ...ends]);
  }

  /** What is certain after this token; often nothing. `logprob`: what is told of the token beside the content. */
  push(id: number, logprob?: TokenLogprob): AnswerDelta[] {
    const control = this.controls.get(id);
    const written = this.decoder.push(id);
    const { thinking } = this;
    const deltas = this.take(this.ends.push(written === "" && control ? control : written), false);
    if (thinking || this.thinking) this.thoughtTokens! += 1;
    else if (logprob) this.logprobs.push(logprob);
    return this.withLogprobs(deltas, false);
  }

  /** What was kept back. A character that the answer ends in the middle of is left out: half of it is no text. */
  end(): AnswerDelta[] {
    return this.stopped ? [] : this.withLogprobs(this.take(this.ends.flush(), true), true);
  }

  /** Why the answer ended, where the generator ended by `reason`. */
  finish(reason: "stop" | "length"): FinishReason {
    if (this.stopped || reason === "stop") return this.called ? "tool_calls" : "stop";
    return "length";
  }

  /** The content that has come brings what is told of its tokens. */
  private withLogprobs(deltas: AnswerDelta[], ended: boolean): AnswerDelta[] {
    if (this.logprobs.length === 0) return deltas;
    const hasContent = ({ content }: AnswerDelta): boolean => content !== undefined;
    if (ended && !deltas.some(hasContent)) deltas.push({ index: this.index, content: "" });
    const last = deltas.findLast(hasContent);
    if (!last) return deltas;
    last.logprobs = this.stopped ? this.shownLogprobs(deltas) : this.logprobs;
    this.logprobs = [];
    return deltas;
  }

  /** Without tokens of which a stop string has left nothing. */
  private shownLogprobs(deltas: readonly AnswerDelta[]): TokenLogprob[] {
    const text = deltas.map(({ content = "" }) => content).join("");
    let left = new TextEncoder().encode(text).length;
    return this.logprobs.filter(({ bytes }) => {
      const shown = left > 0;
      left -= bytes?.length ?? 0;
      return shown;
    });
  }

  private get thinking(): boolean {
    return this.parsers.some(({ thinking }) => thinking === true);
  }

  private take({ text, hit }: StopResult, ended: boolean): AnswerDelta[] {
    const over = ended || hit !== undefined;
    let parts: Part[] = text === "" ? [] : [{ content: text }];
    for (const parser of this.parsers) {
      parts = parts.flatMap((part) =>
        part.content === undefined ? [part] : parser.push(part.content),
      );
      if (over) parts.push(...parser.end());
    }
    const shown: AnswerDelta[] = [];
    const show = (part: Part): void => void shown.push({ index: this.index, ...part });
    const showText = ({ text, hit }: StopResult): void => {
      if (text !== "") show({ content: text });
      this.stopped ||= hit !== undefined;
    };
    for (const part of parts) {
      if (part.content !== undefined) showText(this.stops.push(part.content));
      if (this.stopped) return shown;
      if (part.content !== undefined) continue;
      // What stands before another channel goes on behind it in no stop string.
      showText(this.stops.flush());
      this.called ||= part.tool_calls !== undefined;
      show(part);
    }
    if (over) showText(this.stops.flush());
    this.stopped ||= hit !== undefined;
    return shown;
  }
}
