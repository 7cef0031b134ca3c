import type { ChatMessage, Engine } from "../../api/types.ts";
import { quotaExceeded, syntaxError } from "./errors.ts";
import { requestFields, type SessionOptions } from "./read-options.ts";
import { lateSystemMessage, type ReadPrompt } from "./read-prompt.ts";
import { isWhole, type ReadConstraint } from "./response-constraint.ts";
import { readAnswer, runTool } from "./tool-rounds.ts";

/** Rounds of calls in one answer, after which the model must say something. */
const MOST_ROUNDS = 8;
/** Tokens that are left for an answer where older messages can make room for it. */
const ROOM_FOR_ANSWER = 64;

let chats = 0;

/** What a prompt asks for. */
export interface Asked {
  readonly prompt: ReadPrompt;
  readonly constraint: ReadConstraint | undefined;
  readonly signal: AbortSignal;
  /** Gets the answer piece by piece. */
  readonly onText?: ((text: string) => void) | undefined;
  /** Older messages have made room. */
  readonly onOverflow: () => void;
}

/** The chat of a session: its messages, how many tokens they are, and the conversation that has them in its cache. */
export class Chat {
  readonly options: SessionOptions;
  /** Tokens of all messages. */
  usage = 0;
  private readonly engine: Engine;
  private readonly conversation = `prompt-api-${++chats}`;
  /** What was said since the beginning: a list per prompt, with its answer. */
  private turns: readonly (readonly ChatMessage[])[] = [];
  /** Whether the conversation is answering. */
  private busy = false;

  constructor(engine: Engine, options: SessionOptions) {
    this.engine = engine;
    this.options = options;
  }

  /** Reads what the session begins with. Rejects with QuotaExceededError where that is too much. */
  async begin(signal: AbortSignal | undefined): Promise<void> {
    this.usage = await this.count(this.messages);
    if (this.usage > this.window) throw quotaExceeded(this.usage, this.window);
    await this.read(this.messages, signal);
  }

  /** Tokens that a session can hold. Under a budget the cache drops what is worth least, and a chat has no end. */
  get window(): number {
    const { budget } = this.engine.cache.usage({ conversation: this.conversation });
    return budget === "full" ? this.engine.info().model.contextLength : Number.POSITIVE_INFINITY;
  }

  /** Tokens that `messages` add. */
  async measure(messages: readonly ChatMessage[]): Promise<number> {
    return Math.max(0, (await this.count([...this.messages, ...messages])) - this.usage);
  }

  /** Adds messages that are not answered, and reads them. Nothing is kept where that is aborted. */
  async append(
    messages: readonly ChatMessage[],
    onOverflow: () => void,
    signal: AbortSignal,
  ): Promise<void> {
    this.checkOrder(messages);
    const turns = await this.makeRoom(messages, 0, onOverflow);
    const all = [...this.options.initial, ...turns.flat(), ...messages];
    const usage = await this.count(all);
    if (signal.aborted) return;
    await this.read(all, signal);
    this.turns = [...turns, messages];
    this.usage = usage;
  }

  /** Answers, and keeps both. Nothing is kept of a prompt that fails or is aborted. */
  async prompt({ prompt, constraint, signal, onText, onOverflow }: Asked): Promise<string> {
    this.checkOrder(prompt.messages);
    const turns = await this.makeRoom(prompt.messages, ROOM_FOR_ANSWER, onOverflow);
    const before = [...this.options.initial, ...turns.flat()];
    this.busy = true;
    try {
      const { text, turn } = await this.answer({ before, prompt, constraint, signal, onText });
      const usage = await this.count([...before, ...turn]);
      if (signal.aborted) throw signal.reason;
      this.turns = [...turns, turn];
      this.usage = usage;
      return text;
    } finally {
      this.busy = false;
    }
  }

  /** A chat that goes on from the same messages, with the same cache unless this one is answering. */
  async clone(): Promise<Chat> {
    const copy = new Chat(this.engine, this.options);
    copy.turns = this.turns;
    copy.usage = this.usage;
    if (!this.busy && this.messages.length > 0)
      await this.engine.cache.fork(this.conversation, copy.conversation);
    return copy;
  }

  /** Frees the cache. */
  async end(): Promise<void> {
    this.turns = [];
    await this.engine.cache.reset({ conversation: this.conversation });
  }

  private get messages(): readonly ChatMessage[] {
    return [...this.options.initial, ...this.turns.flat()];
  }

  private checkOrder([first]: readonly ChatMessage[]): void {
    if (first?.role === "system" && this.messages.length > 0) throw lateSystemMessage();
  }

  private async read(
    messages: readonly ChatMessage[],
    signal: AbortSignal | undefined,
  ): Promise<void> {
    if (messages.length === 0) return;
    const { tools } = requestFields(this.options);
    const { conversation } = this;
    await this.engine.cache.read({ messages, ...(tools && { tools }) }, { conversation, signal });
  }

  private async count(messages: readonly ChatMessage[]): Promise<number> {
    if (messages.length === 0) return 0;
    const { tools } = requestFields(this.options);
    return this.engine.countTokens({ messages, ...(tools ? { tools } : {}) });
  }

  /** The turns that stay where `messages` come, the oldest going first. Rejects where not even none would do. */
  private async makeRoom(
    messages: readonly ChatMessage[],
    room: number,
    onOverflow: () => void,
  ): Promise<readonly (readonly ChatMessage[])[]> {
    const { window } = this;
    let { turns } = this;
    if (window === Number.POSITIVE_INFINITY) return turns;
    const total = (): Promise<number> =>
      this.count([...this.options.initial, ...turns.flat(), ...messages]);
    for (let tokens = await total(); tokens + room > window; tokens = await total()) {
      if (turns.length === 0) {
        if (tokens > window) throw quotaExceeded(tokens, window);
        break;
      }
      turns = turns.slice(1);
    }
    if (turns !== this.turns) onOverflow();
    return turns;
  }

  /** The answer's text, and all messages since `before`: what was asked, calls of tools with their results, what is said. */
  private async answer({
    before,
    prompt: { messages, prefix },
    constraint,
    signal,
    onText,
  }: Omit<Asked, "onOverflow"> & { before: readonly ChatMessage[] }): Promise<{
    text: string;
    turn: readonly ChatMessage[];
  }> {
    const fields = requestFields(this.options);
    const turn: ChatMessage[] = prefix ? messages.slice(0, -1) : [...messages];
    let lead = prefix ? messages.at(-1)!.content : "";
    let answer = "";
    for (let round = 0; ; round++) {
      const ahead = lead === "" ? [] : [{ role: "assistant" as const, content: lead }];
      const stream = await this.engine.chat.completions.create(
        {
          ...fields,
          ...(fields.tools && round >= MOST_ROUNDS ? { tool_choice: "none" } : {}),
          ...(constraint ? { response_format: constraint.format } : {}),
          ...(lead === "" ? {} : { continue_final_message: true }),
          messages: [...before, ...turn, ...ahead],
          stream: true,
        },
        { conversation: this.conversation, signal },
      );
      const { content, calls, finish } = await readAnswer(stream, onText);
      answer += content;
      const whole = lead + content;
      const said: ChatMessage = { role: "assistant", content: whole };
      lead = "";
      if (calls.length === 0) {
        // An answer that runs out of tokens is brought to its end in time, where that is possible.
        if (constraint && finish === "length" && !(await isWhole(constraint, whole)))
          throw syntaxError("The answer ended before it was what responseConstraint asks for.");
        return { text: answer, turn: [...turn, said] };
      }
      turn.push({ ...said, tool_calls: calls });
      turn.push(...(await Promise.all(calls.map((call) => runTool(this.options.tools, call)))));
      if (signal.aborted) throw signal.reason;
    }
  }
}
