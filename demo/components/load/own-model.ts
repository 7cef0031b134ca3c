import { css, html, LitElement, nothing, type TemplateResult } from "lit";
import { customElement, query, state } from "lit/decorators.js";
import { live } from "lit/directives/live.js";
import { emit } from "../../events.ts";
import type { ModelChoice } from "../../state/models.ts";
import { controls } from "../../styles/controls.ts";

const WANTED = /\.(gguf|safetensors|json|jinja)$/i;

/** A model of the user's own: its files dropped or picked, its address, or a repository's file. */
@customElement("own-model")
export class OwnModel extends LitElement {
  static override styles = [
    controls,
    css`
      summary {
        width: fit-content;
        color: var(--pine);
        cursor: pointer;
      }
      .drop {
        display: grid;
        justify-items: center;
        gap: 0.5rem;
        margin: 0.9rem 0;
        padding: 1.1rem;
        border: 1.5px dashed var(--line-strong);
        border-radius: var(--radius);
        text-align: center;
      }
      .drop.over {
        border-color: var(--pine);
        background: var(--pine-soft);
      }
      form {
        display: flex;
        gap: 0.5rem;
      }
      .error {
        margin-top: 0.6rem;
      }
    `,
  ];

  @state() private over = false;
  @state() private open = false;
  @state() private problem = "";
  @query("input[type=file]") private file!: HTMLInputElement;
  @query("input[type=text]") private url!: HTMLInputElement;

  /** A file may be dropped anywhere on the page, and must not make the browser leave it. */
  override connectedCallback(): void {
    super.connectedCallback();
    document.addEventListener("dragover", this.#onDragOver);
    document.addEventListener("dragleave", this.#onDragLeave);
    document.addEventListener("drop", this.#onDrop);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    document.removeEventListener("dragover", this.#onDragOver);
    document.removeEventListener("dragleave", this.#onDragLeave);
    document.removeEventListener("drop", this.#onDrop);
  }

  protected override render(): TemplateResult {
    return html`<details .open=${live(this.open)} @toggle=${this.#onToggle}>
      <summary>Use a model of your own</summary>
      <div
        class="drop ${this.over ? "over" : ""}"
        data-testid="drop"
      >
        <span>Drop a <code>.gguf</code> file here, or all files of a model</span>
        <button type="button" @click=${() => this.file.click()}>Choose files</button>
        <input type="file" data-testid="model-file" accept=".gguf,.safetensors,.json,.jinja" multiple hidden aria-label="Model file" @change=${() => this.#takeFiles(this.file.files)} />
        <span class="small muted">It is read where it is, not uploaded anywhere.</span>
      </div>
      <form @submit=${this.#takeUrl}>
        <input type="text" inputmode="url" aria-label="Address of a .gguf file, or owner/name/file of a repository" placeholder="https://…/model.gguf or owner/name/file.gguf" data-testid="model-url" />
        <button>Load</button>
      </form>
      ${this.problem === "" ? nothing : html`<p class="error" role="alert">${this.problem}</p>`}
    </details>`;
  }

  readonly #onToggle = (event: Event): void => {
    this.open = (event.target as HTMLDetailsElement).open;
  };

  readonly #onDragOver = (event: DragEvent): void => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    this.over = this.open = true;
  };

  readonly #onDragLeave = (): void => {
    this.over = false;
  };

  readonly #onDrop = (event: DragEvent): void => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    this.over = false;
    this.#takeFiles(event.dataTransfer.files);
  };

  #takeFiles(list: FileList | null): void {
    const files = [...(list ?? [])];
    const [first] = files;
    if (first === undefined) return;
    const odd = files.find(({ name }) => !WANTED.test(name));
    if (odd !== undefined) {
      this.problem = `${odd.name} is not a .gguf file.`;
      return;
    }
    const bytes = files.reduce((sum, { size }) => sum + size, 0);
    const label = files.find(({ name }) => !/\.(json|jinja)$/.test(name))?.name ?? first.name;
    this.#load({ label, source: files.length === 1 ? first : files, bytes });
  }

  readonly #takeUrl = (event: Event): void => {
    event.preventDefault();
    const text = this.url.value.trim();
    const hub = /^([\w.-]+\/[\w.-]+)\/([\w./-]+\.(?:gguf|safetensors(?:\.index\.json)?))$/i.exec(
      text,
    );
    if (hub !== null) {
      this.#load({ label: hub[2]!, source: { repo: hub[1]!, file: hub[2]! }, bytes: null });
      return;
    }
    if (!URL.canParse(text) || !/^https?:$/.test(new URL(text).protocol)) {
      this.problem = "That is not an http or https address, nor owner/name/file.gguf.";
      return;
    }
    const label = new URL(text).pathname.split("/").at(-1) || text;
    this.#load({ label, source: text, bytes: null });
  };

  #load(choice: ModelChoice): void {
    this.problem = "";
    emit(this, "load-model", choice);
  }
}
