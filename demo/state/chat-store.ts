import type { Engine, InferenceSource, ReadProgress } from "../../src/api/types.ts";
import { asWinnowError } from "../../src/errors.ts";
import type { ChatMessage } from "../../src/text/types.ts";
import {
  type AnswerSettings,
  type Attachment,
  type ChatEntry,
  DEFAULT_ANSWERS,
} from "./chats/chat-types.ts";
import { contentOf } from "./chats/entry-content.ts";
import { Store } from "./store.ts";

/** Runs `flush` once a frame at most; in a hidden tab, where frames stop, once in a while. */
const nextFrame = (flush: () => void): void => {
  if (document.hidden) setTimeout(flush, 200);
  else requestAnimationFrame(flush);
};

/** The conversation on the page: entries are never changed in place, so a view can compare by identity. */
export class ChatStore extends Store {
  /** The conversation's name, in the engine too. */
  id = "";
  entries: readonly ChatEntry[] = [];
  settings: AnswerSettings = DEFAULT_ANSWERS;
  /** How far the question under way has been read; null before reading begins and once it is over. */
  reading: ReadProgress | null = null;
  /** Where the last answer was made, or the next one will be asked for first; null where only this device may. */
  source: InferenceSource | null = null;
  #engine: Engine | null = null;
  #abort: AbortController | null = null;
  #running: Promise<void> = Promise.resolve();
  #nextId = 1;

  get answering(): boolean {
    return this.#abort !== null;
  }

  attach(engine: Engine | null): void {
    this.#engine = engine;
    this.source = engine?.info().inference?.source ?? null;
  }

  configure(settings: Partial<AnswerSettings>): void {
    this.settings = { ...this.settings, ...settings };
    this.changed();
  }

  send(text: string, attachments: readonly Attachment[] = []): void {
    const question = text.trim();
    const empty = question === "" && attachments.length === 0;
    if (empty || this.answering || this.#engine === null) return;
    const documents = attachments.length > 0 ? { attachments } : {};
    this.#append({ role: "user", text: question, status: "done", ...documents });
    this.#start();
  }

  /** Ends the answer within a token; its text stays. */
  stop(): void {
    this.#abort?.abort();
  }

  /** Answers the last question again. */
  retry(): void {
    if (this.answering || this.#engine === null) return;
    if (this.entries.at(-1)?.role === "assistant") this.entries = this.entries.slice(0, -1);
    if (this.entries.at(-1)?.role === "user") this.#start();
  }

  /** Takes the last question and its answer back, and returns the question. */
  takeBackQuestion(): ChatEntry | null {
    const index = this.entries.findLastIndex((entry) => entry.role === "user");
    if (index < 0 || this.answering) return null;
    const question = this.entries[index]!;
    this.entries = this.entries.slice(0, index);
    this.changed();
    return question;
  }

  /** Ends the answer under way, and resolves once nothing of it comes any more. */
  async quiet(): Promise<void> {
    this.stop();
    await this.#running;
  }

  /** Resolves once the answer under way is complete. */
  async ended(): Promise<void> {
    await this.#running;
  }

  /** The engine forgets a conversation and frees its pages. */
  async forget(id: string): Promise<void> {
    await this.#engine?.cache.reset({ conversation: id }).catch(() => undefined);
  }

  /** Shows another conversation. An answer under way must have ended. */
  open(id: string, entries: readonly ChatEntry[], settings: AnswerSettings): void {
    this.id = id;
    this.entries = entries;
    this.settings = settings;
    this.#nextId = 1 + Math.max(0, ...entries.map((entry) => entry.id));
    this.changed();
  }

  #start(): void {
    const abort = new AbortController();
    this.#abort = abort;
    const messages = this.#messages();
    const id = this.#append({ role: "assistant", text: "", status: "waiting" });
    this.#running = this.#running.then(() => this.#answer(id, messages, abort));
  }

  async #answer(id: number, messages: ChatMessage[], abort: AbortController): Promise<void> {
    const begin = performance.now();
    let [text, thought] = ["", ""];
    let queued = false;
    let open = true;
    let end: Partial<ChatEntry> = { status: "done" };
    const onProgress = (progress: ReadProgress): void => {
      if (!open) return;
      this.reading = progress.read < progress.total ? progress : null;
      this.changed();
    };
    const flush = (): void => {
      queued = false;
      const status = text === "" && thought === "" ? "waiting" : "streaming";
      if (open) this.#update(id, { ...said(), status });
    };
    const said = () => ({ text, ...(thought !== "" && { thought }) });
    try {
      const { temperature, maxTokens } = this.settings;
      const stream = await this.#engine!.chat.completions.create(
        { messages, stream: true, temperature, max_tokens: maxTokens },
        { signal: abort.signal, conversation: this.id, onProgress },
      );
      for await (const chunk of stream) {
        const choice = chunk.choices[0];
        if (this.source !== null) this.source = chunk.inferenceSource;
        const { content, reasoning_content: thinking } = choice.delta;
        if (text === "" && thought === "" && (content || thinking))
          this.#update(id, { firstTokenS: (performance.now() - begin) / 1000 });
        text += content ?? "";
        thought += thinking ?? "";
        if (choice.finish_reason !== null) end = { ...end, finish: choice.finish_reason };
        if (chunk.usage !== undefined) end = { ...end, usage: chunk.usage };
        if (!queued) nextFrame(flush);
        queued = true;
      }
      if (abort.signal.aborted) end = { ...end, status: "stopped" };
    } catch (thrown) {
      const { code, message, hint } = asWinnowError(thrown);
      const stopped = abort.signal.aborted || code === "aborted";
      end = stopped ? { status: "stopped" } : { status: "failed", error: { code, message, hint } };
    }
    open = false;
    this.reading = null;
    this.#abort = null;
    this.#update(id, { ...said(), ...end });
  }

  /** What the model is given: failed answers left out, questions without an answer joined. */
  #messages(): ChatMessage[] {
    // Word for word: it may be a document that was read before.
    const { system } = this.settings;
    const messages: ChatMessage[] =
      system.trim() === "" ? [] : [{ role: "system", content: system }];
    for (const entry of this.entries) {
      const { role } = entry;
      const content = contentOf(entry);
      const last = messages.at(-1);
      if (content === "") continue;
      if (last?.role === role) last.content += `\n\n${content}`;
      else messages.push({ role, content });
    }
    return messages;
  }

  #append(entry: Omit<ChatEntry, "id">): number {
    const id = this.#nextId++;
    this.entries = [...this.entries, { ...entry, id }];
    this.changed();
    return id;
  }

  #update(id: number, change: Partial<ChatEntry>): void {
    this.entries = this.entries.map((entry) => (entry.id === id ? { ...entry, ...change } : entry));
    this.changed();
  }
}
