import { css, html, LitElement, nothing, type PropertyValues, type TemplateResult } from "lit";
import { customElement, property, query, state } from "lit/decorators.js";
import { emit } from "../../events.ts";
import { formatCount, formatRate, formatSeconds, formatTokens } from "../../format.ts";
import { StreamingMarkdown } from "../../markdown.ts";
import type { ChatEntry } from "../../state/chats/chat-types.ts";
import { controls } from "../../styles/controls.ts";
import { prose } from "../../styles/prose.ts";
import { checkIcon, copyIcon, editIcon, pageIcon, retryIcon } from "../icons.ts";

/** How much of a document's text the page shows, in characters. */
const SHOWN = 50_000;

/** One question or answer. An answer's Markdown is grown in place, outside Lit's templates. */
@customElement("message-view")
export class MessageView extends LitElement {
  static override styles = [
    controls,
    prose,
    css`
      .question {
        width: fit-content;
        max-width: min(85%, 34rem);
        margin-left: auto;
        padding: 0.6rem 0.95rem;
        border-radius: 18px 18px 5px 18px;
        background: var(--sunken);
        white-space: pre-wrap;
        overflow-wrap: anywhere;
      }
      .document {
        width: fit-content;
        max-width: min(85%, 34rem);
        margin: 0 0 0.4rem auto;
        padding: 0.4rem 0.8rem;
        border: 1px solid var(--line);
        border-radius: var(--radius-s);
        background: var(--surface);
        font-size: 0.875rem;
      }
      .document summary {
        display: flex;
        gap: 0.5rem;
        align-items: center;
        overflow-wrap: anywhere;
        cursor: pointer;
      }
      .document span {
        min-width: 0;
      }
      .thought {
        margin: 0 0 0.6rem;
        color: var(--muted);
        font-size: 0.875rem;
      }
      .thought summary {
        width: fit-content;
        cursor: pointer;
      }
      .thought .words {
        padding-left: 0.8rem;
        border-left: 2px solid var(--line-strong);
      }
      .words {
        max-height: 16rem;
        margin-top: 0.5rem;
        overflow-y: auto;
        color: var(--muted);
        white-space: pre-wrap;
        overflow-wrap: anywhere;
      }
      .bar {
        display: flex;
        flex-wrap: wrap;
        align-items: center;
        gap: 0.1rem;
        min-height: 32px;
        margin: 0.3rem -0.6rem 0;
        color: var(--muted);
      }
      .bar.locked {
        visibility: hidden;
      }
      .bar.end {
        margin-bottom: -0.6rem;
        justify-content: flex-end;
      }
      .bar button {
        min-height: 30px;
        padding: 0 0.6em;
        font-size: 0.8125rem;
      }
      .bar .facts {
        padding: 0 0.6rem;
      }
      .waiting {
        display: inline-flex;
        gap: 5px;
        padding: 0.6rem 0;
      }
      .waiting i {
        width: 7px;
        height: 11px;
        border-radius: 50%;
        background: var(--wheat);
        animation: sway 1.1s ease-in-out infinite;
      }
      .waiting i:nth-child(2) {
        animation-delay: 0.15s;
      }
      .waiting i:nth-child(3) {
        animation-delay: 0.3s;
      }
      progress {
        display: block;
        width: min(100%, 20rem);
        height: 6px;
        margin-top: 0.4rem;
        overflow: hidden;
        border: 0;
        border-radius: 3px;
        background: var(--sunken);
        appearance: none;
      }
      progress::-webkit-progress-bar {
        background: var(--sunken);
      }
      progress::-webkit-progress-value {
        background: var(--wheat);
      }
      progress::-moz-progress-bar {
        background: var(--wheat);
      }
      @keyframes sway {
        50% {
          transform: translateY(-4px) rotate(12deg);
          opacity: 0.5;
        }
      }
      .error {
        margin-top: 0.6rem;
      }
    `,
  ];

  @property({ attribute: false }) entry!: ChatEntry;
  /** Only the last turn can be answered again or taken back. */
  @property({ type: Boolean }) last = false;
  /** How far the question has been read, in words; "" where that takes no time worth a word. */
  @property() reading = "";
  /** The part of the question that has been read, from 0 to 1, or null where that is not known. */
  @property({ attribute: false }) read: number | null = null;
  /** While an answer is under way. */
  @property({ type: Boolean }) locked = false;
  @state() private copied = false;
  @query(".prose") private prose!: HTMLElement;
  #markdown: StreamingMarkdown | null = null;

  protected override updated(changed: PropertyValues): void {
    if (!changed.has("entry") || this.entry.role !== "assistant") return;
    this.#markdown ??= new StreamingMarkdown(this.prose);
    const { text, status } = this.entry;
    this.#markdown.update(text, status !== "waiting" && status !== "streaming");
  }

  protected override render(): TemplateResult {
    return this.entry.role === "user" ? this.#question() : this.#answer();
  }

  #question(): TemplateResult {
    return html`<div data-testid="message-user">
      <span class="hidden-text">You:</span>
      ${this.entry.attachments?.map(
        ({ name, kind, text }) => html`<details class="document" data-testid="document">
          <summary>${pageIcon}<span><strong>${name}</strong> · ${kind} · ${formatTokens(text)}</span></summary>
          <div class="words" tabindex="0" role="region" aria-label="Text of ${name}">${text.slice(0, SHOWN)}${text.length > SHOWN ? "…" : ""}</div>
        </details>`,
      )}
      ${this.entry.text === "" ? nothing : html`<div class="question">${this.entry.text}</div>`}
      ${
        this.last
          ? html`<div class="bar end ${this.locked ? "locked" : ""}">
            <button class="quiet" data-testid="edit" @click=${() => emit(this, "edit-question")}>
              ${editIcon} Edit
            </button>
          </div>`
          : nothing
      }
    </div>`;
  }

  #answer(): TemplateResult {
    const { status, error, text } = this.entry;
    const busy = status === "waiting" || status === "streaming";
    return html`<div data-testid="message-assistant" data-status=${status} aria-busy=${busy ? "true" : "false"}>
      <span class="hidden-text">Winnow:</span>
      ${
        status === "waiting"
          ? html`<div class="waiting" role="img" aria-label="Reading your message"><i></i><i></i><i></i></div>
            ${this.reading === "" ? nothing : html`<p class="small muted num" data-testid="reading">${this.reading}</p>`}
            ${this.read === null ? nothing : html`<progress max="1" .value=${this.read} aria-label="Reading your message"></progress>`}`
          : nothing
      }
      ${this.#thought()}
      <div class="prose ${status === "streaming" ? "growing" : ""}" @click=${this.#copyCode}></div>
      ${
        error === undefined
          ? nothing
          : html`<div class="error" role="alert" data-testid="message-error">
            <p>${error.message}</p>
            ${error.hint === "" ? nothing : html`<p>${error.hint}</p>`}
          </div>`
      }
      ${busy ? nothing : this.#actions(text)}
    </div>`;
  }

  /** Open while nothing else is there to be read; the reader's own choice counts from then on. */
  #thought(): TemplateResult | typeof nothing {
    const { thought, status, text } = this.entry;
    if (thought === undefined) return nothing;
    const thinking = status === "streaming" && text === "";
    return html`<details class="thought" data-testid="thought" ?open=${thinking}>
      <summary>${thinking ? "Thinking…" : "Thought"}</summary>
      <div class="words" tabindex="0" role="region" aria-label="What the model thought">${thought}</div>
    </details>`;
  }

  #actions(text: string): TemplateResult {
    return html`<div class="bar">
      ${
        text === ""
          ? nothing
          : html`<button class="quiet" data-testid="copy" @click=${() => this.#copyAnswer(text)}>
            ${this.copied ? checkIcon : copyIcon} ${this.copied ? "Copied" : "Copy"}
          </button>`
      }
      ${
        this.last && !this.locked
          ? html`<button class="quiet" data-testid="retry" @click=${() => emit(this, "retry-answer")}>
            ${retryIcon} Retry
          </button>`
          : nothing
      }
      <span class="facts small num" data-testid="answer-facts">${this.#facts()}</span>
    </div>`;
  }

  #facts(): string {
    const { usage, status, finish } = this.entry;
    const parts: string[] = [];
    if (status === "stopped") parts.push("stopped");
    if (finish === "length") parts.push("reached its length limit");
    if (usage !== undefined) {
      const { decode_tokens_per_s, time_to_first_token_s } = usage.extra;
      parts.push(`${formatCount(usage.completion_tokens)} tokens`);
      if (decode_tokens_per_s > 0) parts.push(`${formatRate(decode_tokens_per_s)} tok/s`);
      parts.push(`first token after ${formatSeconds(time_to_first_token_s)}`);
    }
    return parts.join(" · ");
  }

  async #copyAnswer(text: string): Promise<void> {
    await navigator.clipboard.writeText(text).catch(() => undefined);
    this.copied = true;
    setTimeout(() => {
      this.copied = false;
    }, 1600);
  }

  readonly #copyCode = (event: Event): void => {
    const button = (event.target as Element).closest<HTMLElement>("[data-copy]");
    const code = button?.closest(".code")?.querySelector("code")?.textContent;
    if (!button || code === undefined || code === null) return;
    void navigator.clipboard.writeText(code).catch(() => undefined);
    button.textContent = "Copied";
    setTimeout(() => {
      button.textContent = "Copy";
    }, 1600);
  };
}
