import { begunAtEnd } from "../../../text/stop-matcher.ts";
import type { ThoughtMarkers } from "../../../text/template/thought-markers.ts";
import type { ChannelParser, Part } from "../answer/channel-parser.ts";

/**
 * Takes the thought in front of an answer out of its text, as `reasoning_content`. Space around the thought, and line
 * ends between it and the answer, belong to the markers.
 */
export class ThoughtParser implements ChannelParser {
  readonly controls: readonly string[];
  private readonly markers: ThoughtMarkers;
  private state: "before" | "inside" | "behind" | "answer";
  /** What is not certain yet. */
  private held = "";
  /** Something of the thought was given. */
  private said = false;

  /** `opened`: the prompt ends inside the thought. */
  constructor(markers: ThoughtMarkers, opened: boolean) {
    this.markers = markers;
    this.controls = markers.controls ?? [markers.open, markers.close];
    this.state = opened ? "inside" : "before";
  }

  get thinking(): boolean {
    return this.state === "inside";
  }

  push(text: string): Part[] {
    this.held += text;
    if (this.state === "before") this.begin();
    const parts = this.state === "inside" ? this.think() : [];
    if (this.state === "behind") this.goOn();
    if (this.state === "answer" && this.held !== "") parts.push({ content: this.take() });
    return parts;
  }

  /** The beginning of a marker is no text, but for its first character, which may be. */
  end(): Part[] {
    const { state, markers } = this;
    const text = this.take();
    if (state === "behind") return [];
    const begun = begunAtEnd(text, state === "inside" ? markers.close : markers.open);
    const whole = begun > 1 ? text.slice(0, -begun) : text;
    if (state === "inside") return this.thought(whole.trimEnd());
    return whole === "" ? [] : [{ content: whole }];
  }

  private take(): string {
    const text = this.held;
    this.held = "";
    return text;
  }

  private begin(): void {
    const { open } = this.markers;
    const text = this.held.trimStart();
    if (open.startsWith(text) && text !== open) return;
    this.state = text.startsWith(open) ? "inside" : "answer";
    if (this.thinking) this.held = text.slice(open.length);
  }

  private think(): Part[] {
    const { open, close } = this.markers;
    if (!this.said) {
      this.held = this.held.trimStart();
      // Some models open what the prompt has opened.
      if (this.held.startsWith(open)) this.held = this.held.slice(open.length).trimStart();
      else if (open.startsWith(this.held)) return [];
    }
    const end = this.held.indexOf(close);
    if (end >= 0) {
      const thought = this.held.slice(0, end).trimEnd();
      this.held = this.held.slice(end + close.length);
      this.state = "behind";
      return this.thought(thought);
    }
    const certain = this.held.length - begunAtEnd(this.held, close);
    const thought = this.held.slice(0, certain).trimEnd();
    this.held = this.held.slice(thought.length);
    return this.thought(thought);
  }

  private thought(text: string): Part[] {
    this.said ||= text !== "";
    return text === "" ? [] : [{ reasoning_content: text }];
  }

  private goOn(): void {
    this.held = this.held.replace(/^[\r\n]+/, "");
    if (this.held !== "") this.state = "answer";
  }
}
