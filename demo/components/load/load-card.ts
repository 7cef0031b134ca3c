import { css, html, LitElement, nothing, type PropertyValues, type TemplateResult } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import type { StoredModel } from "../../../src/index.ts";
import { detailOf, emit } from "../../events.ts";
import { formatBytes } from "../../format.ts";
import type { EnginePhase } from "../../state/engine-store.ts";
import { type GpuProbe, type ModelChoice, probeGpu, registeredModels } from "../../state/models.ts";
import { asksServer, asksServerAlone, type ServerSettings } from "../../state/server-settings.ts";
import { StoredStore } from "../../state/stored-store.ts";
import { controls } from "../../styles/controls.ts";
import { checkIcon, downIcon, logo, warnIcon } from "../icons.ts";
import "./load-progress.ts";
import "./own-model.ts";
import "./server-box.ts";
import "./stored-models.ts";

/** The first thing a visitor sees: what will be loaded, what it weighs, whether it can run here. */
@customElement("load-card")
export class LoadCard extends LitElement {
  static override styles = [
    controls,
    css`
      :host {
        display: grid;
        place-items: center;
        min-height: 100%;
        padding: 1.5rem 1rem 2.5rem;
      }
      .card {
        width: min(100%, 33rem);
        padding: clamp(1.35rem, 5vw, 2.25rem);
        border: 1px solid var(--line);
        border-radius: 20px;
        background: var(--surface);
        box-shadow: var(--shadow);
      }
      .logo {
        width: 46px;
        height: 46px;
      }
      h2 {
        margin: 0.6rem 0 0.6rem;
        font: 500 clamp(1.65rem, 6vw, 2.1rem) / 1.15 var(--display);
        letter-spacing: -0.01em;
        text-wrap: balance;
      }
      .lead {
        color: var(--muted);
      }
      .facts {
        display: grid;
        gap: 0.45rem;
        margin: 1.25rem 0;
        padding: 0.9rem 1rem;
        border-radius: var(--radius);
        background: var(--bg);
        font-size: 0.9375rem;
      }
      .facts div {
        display: flex;
        gap: 0.6rem;
        align-items: baseline;
      }
      .facts .icon {
        align-self: center;
        color: var(--pine);
      }
      .facts .caution .icon {
        color: var(--caution);
      }
      .facts select {
        min-height: 34px;
      }
      .actions {
        display: flex;
        flex-wrap: wrap;
        gap: 0.6rem;
        align-items: center;
      }
      .actions .primary {
        min-height: 44px;
        padding: 0 1.4em;
      }
      .more {
        display: grid;
        gap: 0.7rem;
        margin-top: 1.4rem;
        padding-top: 1.1rem;
        border-top: 1px solid var(--line);
      }
      .error {
        margin: 1.1rem 0;
      }
      /* Under a chat that is to go on. */
      :host([compact]) {
        display: block;
        min-height: 0;
        padding: 0;
      }
      :host([compact]) .card {
        width: auto;
        max-width: 46rem;
        margin: 0 auto;
        padding: 1rem 1.25rem;
        border-radius: var(--radius);
      }
      :host([compact]) .facts {
        margin: 0.5rem 0 0.7rem;
        padding: 0;
        background: none;
      }
      :host([compact]) .fine {
        display: none;
      }
      :host([compact]) .more {
        gap: 0.4rem;
        margin-top: 0.7rem;
        padding-top: 0.6rem;
      }
      :host([compact]) load-progress {
        margin: 0.6rem 0;
      }
    `,
  ];

  @property({ attribute: false }) phase: EnginePhase = { kind: "idle" };
  @property({ attribute: false }) choice: ModelChoice | null = null;
  @property({ attribute: false }) server!: ServerSettings;
  /** Whether it stands under a chat that is to go on, without a word of welcome. */
  @property({ type: Boolean, reflect: true }) compact = false;
  @state() private models: ModelChoice[] = [];
  /** The model of the list that the user picked. Until then it is the one that was used last. */
  @state() private picked: number | null = null;
  @state() private gpu: GpuProbe = { state: "checking", text: "Looking for WebGPU…" };

  readonly #stored = new StoredStore();

  override async connectedCallback(): Promise<void> {
    super.connectedCallback();
    this.#stored.subscribe(() => this.requestUpdate());
    // What is stored is known before its size is said to be downloaded.
    void probeGpu().then((gpu) => {
      this.gpu = gpu;
    });
    [this.models] = await Promise.all([registeredModels(), this.#stored.refresh()]);
  }

  /** A load that ended has stored something, or a part of it. */
  protected override willUpdate(changed: PropertyValues<this>): void {
    if (changed.has("phase") && changed.get("phase")?.kind === "loading")
      void this.#stored.refresh();
  }

  protected override render(): TemplateResult {
    const { phase } = this;
    return html`<section class="card" aria-label="Model">
      ${this.compact ? nothing : html`${logo}<h2>A language model, right here in this tab</h2>`}
      ${
        phase.kind === "loading"
          ? html`<p class="lead">Loading ${this.choice?.label ?? "the model"}</p>
            <load-progress .progress=${phase.progress} .secondsLeft=${phase.secondsLeft}></load-progress>
            <div class="actions">
              <button data-testid="cancel-load" @click=${() => emit(this, "cancel-load")}>Cancel</button>
              ${phase.progress.stage === "download" ? html`<span class="small muted">What has arrived is kept.</span>` : nothing}
            </div>`
          : this.#offer()
      }
    </section>`;
  }

  #offer(): TemplateResult {
    const failed = this.phase.kind === "failed" ? this.phase.error : null;
    const model = this.#model;
    const elsewhere = asksServerAlone(this.server);
    return html`<p class="lead">${leadOf(this.server, this.compact)}</p>
      ${
        failed === null
          ? nothing
          : html`<div class="error" role="alert" data-testid="load-error" data-code=${failed.code}>
            <p>${failed.message}</p>
            ${failed.hint === "" ? nothing : html`<p>${failed.hint}</p>`}
          </div>`
      }
      ${elsewhere ? nothing : this.#facts(model)}
      <div class="actions">
        <button
          class="primary"
          data-testid="load"
          ?disabled=${model === undefined}
          @click=${() => emit(this, "load-model", failed === null ? model : (this.choice ?? model))}
        >
          ${failed !== null ? "Try again" : elsewhere ? "Use the server" : "Load the model"}
        </button>
        ${
          failed !== null && this.choice !== null && this.choice !== model && model !== undefined
            ? html`<button @click=${() => emit(this, "load-model", model)}>Load ${model.label}</button>`
            : nothing
        }
      </div>
      <div class="more">
        <stored-models
          ?hidden=${this.#stored.models.length === 0}
          .models=${this.#stored.models}
          .labels=${new Map(this.models.map(({ source, label }) => [String(source), label]))}
          .refusal=${this.#stored.refusal}
          @remove-model=${(event: Event) => void this.#stored.remove(detailOf<string>(event))}
        ></stored-models>
        <own-model></own-model>
        <server-box .settings=${this.server}></server-box>
      </div>`;
  }

  /** What would be loaded, and whether it can run here. */
  #facts(model: ModelChoice | undefined): TemplateResult {
    const { tone, icon } = GPU_SIGNS[this.gpu.state];
    return html`<div class="facts" data-testid="load-facts">
      ${this.#modelLine(model)}
      <div class=${tone || "fine"} data-testid="gpu" data-state=${this.gpu.state}>
        ${icon}<span>${this.gpu.text}</span>
      </div>
    </div>`;
  }

  get #model(): ModelChoice | undefined {
    const last = this.#stored.models.find(({ complete }) => complete);
    const used = this.models.findIndex(({ source }) => source === last?.source);
    return this.models[this.picked ?? Math.max(0, used)];
  }

  #modelLine(model: ModelChoice | undefined): TemplateResult {
    if (model === undefined) return html`<div class="muted">Reading the list of models…</div>`;
    const stored = this.#stored.models.find(({ source }) => source === model.source);
    return html`<div>
      ${stored?.complete ? checkIcon : downIcon}
      <span>
        ${
          this.models.length === 1
            ? html`<strong>${model.label}</strong><br />`
            : html`<select aria-label="Model" data-testid="model" @change=${this.#pick}>
              ${this.models.map((entry, index) => html`<option value=${index} ?selected=${entry === model}>${entry.label}${this.#tooBig(entry) ? ", too big" : ""}</option>`)}
            </select>`
        }
        <span class="num" data-testid="model-size">${sizeOf(model, stored)}</span>${this.#fitLine(model)}
      </span>
    </div>`;
  }

  /** Said before a download. WebGPU tells no total, so the tooltip says what is assumed. */
  #fitLine({ needs, license }: ModelChoice): TemplateResult {
    const { available } = this.gpu;
    const terms = license === undefined ? nothing : html` · ${license.replace("LicenseRef-", "")}`;
    if (needs === undefined || available === undefined) return html`${terms}`;
    const excess = needs - available;
    const assumed = `Needs ${formatBytes(needs)} with its cache; assumed are ${formatBytes(available)} for a page, as WebGPU does not tell`;
    return html`<br class=${excess <= 0 ? "fine" : ""} /><span class="small ${excess <= 0 ? "fine" : ""}" title=${assumed} data-testid="model-fit" data-fits=${excess <= 0 ? "true" : "false"}>${
      excess <= 0
        ? html`Fits: needs ${formatBytes(needs)}`
        : html`<strong>Too big by ${formatBytes(excess)}</strong>`
    } of ${formatBytes(available)} assumed${terms}</span>`;
  }

  #tooBig({ needs }: ModelChoice): boolean {
    return needs !== undefined && needs > (this.gpu.available ?? Number.POSITIVE_INFINITY);
  }

  readonly #pick = (event: Event): void => {
    this.picked = Number((event.target as HTMLSelectElement).value);
  };
}

/** Who will answer, and where what is written goes. `compact`: under a chat that is to go on. */
function leadOf(server: ServerSettings, compact: boolean): string {
  if (asksServerAlone(server))
    return compact
      ? "Go on with this chat on your server."
      : "Your server answers: what you write is sent there, and no model is loaded here.";
  if (compact) return "Load a model to go on with this chat.";
  if (asksServer(server))
    return "It runs on this device, or on your server, as you say below: what is answered there is sent there.";
  return "No server, no account: what you write stays on this device. Its memory stays within a budget that you can move while it talks.";
}

const GPU_SIGNS = {
  checking: { tone: "muted", icon: nothing },
  ready: { tone: "", icon: checkIcon },
  software: { tone: "caution", icon: warnIcon },
  missing: { tone: "caution", icon: warnIcon },
} as const satisfies Readonly<Record<GpuProbe["state"], unknown>>;

/** What is here, and what is to come. */
function sizeOf({ bytes }: ModelChoice, stored: StoredModel | undefined): string {
  if (stored?.complete) return `Stored here, ${formatBytes(stored.bytes)}: nothing to download`;
  if (bytes === null) return "Size shown while it loads";
  return stored === undefined
    ? `${formatBytes(bytes)} to download, once`
    : `${formatBytes(stored.bytes)} of ${formatBytes(bytes)} stored here, the rest to download`;
}
