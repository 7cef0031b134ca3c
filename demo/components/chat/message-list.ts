import { css, html, LitElement, nothing, type PropertyValues, type TemplateResult } from "lit";
import { customElement, property, query, state } from "lit/decorators.js";
import { repeat } from "lit/directives/repeat.js";
import type { ReadProgress } from "../../../src/api/types.ts";
import { emit } from "../../events.ts";
import { formatCount, formatReading, formatTokens } from "../../format.ts";
import type { ChatEntry } from "../../state/chats/chat-types.ts";
import { controls } from "../../styles/controls.ts";
import { downIcon } from "../icons.ts";
import "./message-view.ts";

const SUGGESTIONS = [
  "Explain what a key-value cache is, for a ten-year-old",
  "Write a short poem about wheat and wind",
  "Give me five uses for an old jam jar",
  "Plan a quiet Sunday, hour by hour, as a table",
];
const NEAR_END_PX = 64;

/** The transcript. It follows a growing answer as long as the reader stays at its end. */
@customElement("message-list")
export class MessageList extends LitElement {
  static override styles = [
    controls,
    css`
      :host {
        position: relative;
        min-height: 0;
      }
      .scroll {
        height: 100%;
        overflow: hidden auto;
        overscroll-behavior: contain;
        /* Anchoring would scroll by itself, and be taken for the reader scrolling up. */
        overflow-anchor: none;
        scrollbar-gutter: stable both-edges;
        scrollbar-width: thin;
      }
      .column {
        display: flex;
        flex-direction: column;
        gap: 1.6rem;
        max-width: 46rem;
        min-height: 100%;
        margin: 0 auto;
        padding: 1.5rem 1.25rem 1.75rem;
      }
      @media (max-width: 600px) {
        .column {
          padding-inline: 0.5rem;
        }
      }
      .welcome {
        margin: auto 0;
      }
      .welcome h2 {
        font: 500 clamp(1.6rem, 4vw, 2.15rem) / 1.2 var(--display);
        letter-spacing: -0.01em;
      }
      .welcome p {
        max-width: 36rem;
        margin: 0.6rem 0 1.4rem;
        color: var(--muted);
      }
      .suggestions {
        display: grid;
        grid-template-columns: repeat(auto-fit, minmax(min(100%, 15rem), 1fr));
        gap: 0.6rem;
      }
      .suggestions button {
        justify-content: flex-start;
        min-height: 3.2rem;
        padding: 0.6rem 0.9rem;
        border-radius: var(--radius);
        background: var(--surface);
        text-align: left;
        white-space: normal;
        line-height: 1.35;
      }
      .latest {
        position: absolute;
        bottom: 0.75rem;
        left: 50%;
        transform: translateX(-50%);
        box-shadow: var(--shadow);
      }
    `,
  ];

  @property({ attribute: false }) entries: readonly ChatEntry[] = [];
  /** How far the last question has been read. */
  @property({ attribute: false }) progress: ReadProgress | null = null;
  /** Tokens that were read before the first message, from a file. */
  @property({ type: Number }) begun = 0;
  /** No message can be taken back or answered again now. */
  @property({ type: Boolean }) locked = false;
  @state() private atEnd = true;
  @query(".scroll") private scroller!: HTMLElement;
  #scrollTop = 0;
  readonly #grown = new ResizeObserver(() => this.#follow());

  protected override firstUpdated(): void {
    this.#grown.observe(this.renderRoot.querySelector(".column")!);
    this.#grown.observe(this.scroller);
  }

  protected override willUpdate(changed: PropertyValues<this>): void {
    const before = changed.get("entries");
    const asked = before !== undefined && this.entries.length > before.length;
    if (asked) this.atEnd = true;
  }

  protected override render(): TemplateResult {
    const lastQuestion = this.entries.findLastIndex((entry) => entry.role === "user");
    return html`<div class="scroll" role="region" aria-label="Conversation" tabindex="0" @scroll=${this.#onScroll}>
        <div class="column" data-testid="transcript">
          ${this.entries.length === 0 ? this.#welcome() : nothing}
          ${repeat(
            this.entries,
            (entry) => entry.id,
            (entry, index) => html`<message-view
              .entry=${entry}
              .last=${index === this.entries.length - 1 || index === lastQuestion}
              .locked=${this.locked}
              .reading=${entry.status === "waiting" ? this.#reading(index) : ""}
              .read=${entry.status === "waiting" ? partOf(this.progress) : null}
            ></message-view>`,
          )}
        </div>
      </div>
      ${
        this.atEnd
          ? nothing
          : html`<button class="latest" @click=${this.#toEnd}>${downIcon} Latest</button>`
      }`;
  }

  /** A long question takes a while to read: how far that is, or how long the documents are until it begins. */
  #reading(answer: number): string {
    const documents = this.entries[answer - 1]?.attachments ?? [];
    const names = documents.map(({ name }) => name).join(", ");
    const what = names === "" ? "" : `Reading ${names}: `;
    if (isLong(this.progress)) return what + formatReading(this.progress);
    return what && what + formatTokens(documents.map(({ text }) => text).join(""));
  }

  #welcome(): TemplateResult {
    if (this.begun > 0)
      return html`<div class="welcome" data-testid="begun">
        <h2>Ask about what was read</h2>
        <p>
          This chat begins with ${formatCount(this.begun)} tokens that the model has read already, so
          an answer begins at once. The strip above shows what is kept of them.
        </p>
      </div>`;
    return html`<div class="welcome">
      <h2>What shall we talk about?</h2>
      <p>
        The model runs in this tab and nothing you write leaves it. While it talks, move the cache
        budget and watch which tokens it holds on to.
      </p>
      <div class="suggestions">
        ${SUGGESTIONS.map(
          (
            text,
          ) => html`<button data-testid="suggestion" @click=${() => emit(this, "suggest", text)}>
            ${text}
          </button>`,
        )}
      </div>
    </div>`;
  }

  readonly #onScroll = (): void => {
    const { scrollTop, scrollHeight, clientHeight } = this.scroller;
    // Growth between two frames is no wish of the reader's: only scrolling up ends the following.
    if (scrollHeight - scrollTop - clientHeight < NEAR_END_PX) this.atEnd = true;
    else if (scrollTop < this.#scrollTop) this.atEnd = false;
    this.#scrollTop = scrollTop;
  };

  #follow(): void {
    if (this.atEnd) this.scroller.scrollTop = this.scroller.scrollHeight;
  }

  readonly #toEnd = (): void => {
    this.atEnd = true;
    this.#follow();
    this.scroller.focus();
  };
}

/** Whether reading takes long enough to be told about: more than a chunk of the prompt. */
const isLong = (progress: ReadProgress | null): progress is ReadProgress =>
  progress !== null && progress.total > 128;

/** From 0 to 1; null where there is nothing to tell. */
const partOf = (progress: ReadProgress | null): number | null =>
  isLong(progress) ? progress.read / progress.total : null;
