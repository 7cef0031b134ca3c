import { css, html, LitElement, type TemplateResult } from "lit";
import { customElement, property, query, state } from "lit/decorators.js";
import { emit } from "../../events.ts";
import type { Pending } from "../../state/attachments.ts";
import { controls } from "../../styles/controls.ts";
import { clipIcon, sendIcon, stopIcon } from "../icons.ts";
import "./attachment-chips.ts";

/** A paste that is longer than this, in characters, is a document. */
const LONG_PASTE = 2000;

/**
 * Where the user writes: Enter sends, Shift+Enter breaks the line, Escape stops the answer. Documents may be dropped
 * anywhere on the page.
 */
@customElement("chat-composer")
export class ChatComposer extends LitElement {
  static override styles = [
    controls,
    css`
      form {
        display: flex;
        align-items: flex-end;
        gap: 0.5rem;
        max-width: 46rem;
        margin: 0 auto;
        padding: 0.45rem;
        border: 1px solid var(--line-strong);
        border-radius: 24px;
        background: var(--raised);
        box-shadow: var(--shadow);
      }
      form:focus-within {
        border-color: var(--pine);
        outline: 2px solid var(--pine);
        outline-offset: -1px;
      }
      attachment-chips {
        max-width: 46rem;
        margin: 0 auto 0.4rem;
      }
      form.over {
        border-style: dashed;
        border-color: var(--pine);
        background: var(--pine-soft);
      }
      textarea {
        flex: 1;
        min-height: 40px;
        max-height: 12rem;
        padding: 0.5rem 0;
        border: 0;
        border-radius: 0;
        background: none;
        resize: none;
        field-sizing: content;
        line-height: 1.5;
      }
      /* The whole form shows the focus. */
      textarea:focus-visible {
        outline: none;
      }
      textarea::placeholder {
        color: var(--muted);
        opacity: 1;
      }
      button {
        width: 40px;
        height: 40px;
        padding: 0;
      }
      button .icon {
        width: 20px;
        height: 20px;
      }
      .hint {
        max-width: 46rem;
        margin: 0.35rem auto 0;
        text-align: center;
      }
      kbd {
        font: 0.75rem var(--mono);
      }
      @media (pointer: coarse), (max-width: 600px) {
        .hint {
          display: none;
        }
      }
    `,
  ];

  @property({ type: Boolean }) answering = false;
  @property({ attribute: false }) attachments: readonly Pending[] = [];
  /** Whether documents may be read for a file. */
  @property({ type: Boolean }) savable = false;
  /** What is written and not sent. */
  @state() draft = "";
  /** Whether a file is held over the page. */
  @state() private over = false;
  @query("textarea") private field!: HTMLTextAreaElement;
  @query("input[type=file]") private file!: HTMLInputElement;
  #connected = new AbortController();

  override connectedCallback(): void {
    super.connectedCallback();
    this.#connected = new AbortController();
    const { signal } = this.#connected;
    document.addEventListener("dragover", this.#onDragOver, { signal });
    document.addEventListener("drop", this.#onDrop, { signal });
    document.addEventListener("dragleave", () => this.#hold(false), { signal });
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#connected.abort();
  }

  /** Puts text into the field, ready to be changed. */
  async write(text: string): Promise<void> {
    this.draft = text;
    await this.updateComplete;
    this.#fit();
    this.focusField();
  }

  focusField(): void {
    this.field.focus();
  }

  protected override render(): TemplateResult {
    return html`<attachment-chips .items=${this.attachments} ?savable=${this.savable}></attachment-chips>
      <form class=${this.over ? "over" : ""} @submit=${this.#submit}>
        <button type="button" class="quiet" data-testid="attach" aria-label="Add documents" title="Add documents: text, Markdown, HTML, PDF, Word, or a .winnow file" @click=${() => this.file.click()}>${clipIcon}</button>
        <input type="file" hidden multiple data-testid="documents" aria-label="Documents" accept=".txt,.md,.html,.htm,.pdf,.docx,.csv,.json,.winnow,text/*" @change=${this.#onFiles} />
        <textarea
          rows="1"
          data-testid="composer"
          aria-label="Your message"
          aria-describedby="keys"
          placeholder=${this.attachments.length > 0 ? "Ask about it" : "Ask anything"}
          enterkeyhint="send"
          .value=${this.draft}
          @input=${this.#onInput}
          @keydown=${this.#onKey}
          @paste=${this.#onPaste}
        ></textarea>
        ${
          this.answering
            ? html`<button type="button" class="primary" data-testid="stop" aria-label="Stop the answer" title="Stop (Esc)" @click=${() => emit(this, "stop-answer")}>${stopIcon}</button>`
            : html`<button class="primary" data-testid="send" aria-label="Send" title="Send (Enter)" ?disabled=${!this.#sendable}>${sendIcon}</button>`
        }
      </form>
      <p class="hint small muted" id="keys">
        <kbd>Enter</kbd> sends, <kbd>Shift+Enter</kbd> breaks the line, <kbd>Esc</kbd> stops. Small
        models make things up: check what matters.
      </p>`;
  }

  /** A document may be sent without a question, and a question waits until its document is there. */
  get #sendable(): boolean {
    const states = this.attachments.map(({ state }) => state);
    if (this.answering || states.some((state) => state === "reading" || state === "saving"))
      return false;
    return this.draft.trim() !== "" || states.includes("ready");
  }

  readonly #onFiles = (): void => {
    const files = [...(this.file.files ?? [])];
    this.file.value = "";
    emit<File[]>(this, "attach-files", files);
    this.focusField();
  };

  readonly #onPaste = (event: ClipboardEvent): void => {
    const files = [...(event.clipboardData?.files ?? [])];
    const text = event.clipboardData?.getData("text/plain") ?? "";
    if (text.length <= LONG_PASTE && (files.length === 0 || text !== "")) return;
    event.preventDefault();
    if (text.length > LONG_PASTE) emit<string>(this, "attach-text", text);
    else emit<File[]>(this, "attach-files", files);
  };

  readonly #onDragOver = (event: DragEvent): void => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    this.#hold(true);
  };

  readonly #onDrop = (event: DragEvent): void => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    this.#hold(false);
    emit<File[]>(this, "attach-files", [...event.dataTransfer.files]);
    this.focusField();
  };

  #hold(over: boolean): void {
    this.over = over;
  }

  readonly #onInput = (): void => {
    this.draft = this.field.value;
    this.#fit();
  };

  readonly #onKey = (event: KeyboardEvent): void => {
    // While an input method composes, Enter picks a candidate.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    this.#submit();
  };

  readonly #submit = (event?: Event): void => {
    event?.preventDefault();
    if (!this.#sendable) return;
    emit(this, "send-message", this.draft);
    this.draft = "";
    this.field.value = "";
    this.#fit();
  };

  /** For browsers without `field-sizing`. */
  #fit(): void {
    if (CSS.supports("field-sizing", "content")) return;
    this.field.style.height = "auto";
    this.field.style.height = `${this.field.scrollHeight}px`;
  }
}
