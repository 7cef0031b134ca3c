import { css, html, LitElement, nothing, type TemplateResult } from "lit";
import { customElement, property } from "lit/decorators.js";
import type { CalibrateProgress, CalibrationResult } from "../../../src/api/types.ts";
import { emit } from "../../events.ts";
import { formatWait } from "../../format.ts";
import type { CalibrationPhase } from "../../state/calibration-store.ts";
import { controls } from "../../styles/controls.ts";

const STAGES: Readonly<Record<CalibrateProgress["stage"], string>> = {
  writing: "The model writes text of its own",
  queries: "Reading the text",
  filters: "Working the filters out",
  install: "Putting them in use",
};

/** Starts a calibration, shows how far it is, and what came out. */
@customElement("calibrate-box")
export class CalibrateBox extends LitElement {
  static override styles = [
    controls,
    css`
      p {
        margin: 0.25rem 0 0.6rem;
      }
      .row {
        display: flex;
        flex-wrap: wrap;
        gap: 0.5rem;
        align-items: center;
      }
      progress {
        width: 100%;
        accent-color: var(--accent);
      }
      input[type="file"] {
        display: none;
      }
    `,
  ];

  @property({ attribute: false }) phase: CalibrationPhase = { kind: "idle" };

  protected override render(): TemplateResult {
    const { phase } = this;
    return html`<div class="small" data-testid="calibrate-box">
      <label>Filters of this model</label>
      <p class="muted">
        Learns what each head looks for. The result stays in this browser. It takes minutes on a slow
        machine, and you may chat meanwhile. A model without filters begins by itself, while the chat is quiet.
      </p>
      ${
        phase.kind === "asking"
          ? html`<p data-testid="calibration-asks">
              It would take ${formatWait(phase.seconds)} on this machine: press Calibrate to begin.
            </p>`
          : nothing
      }
      ${this.#state(phase)}
      <div aria-live="polite" data-testid="calibration-result">
        ${phase.kind === "done" ? this.#done(phase.result) : nothing}
        ${
          phase.kind === "failed"
            ? html`<p>${phase.error.message}. ${phase.error.hint ?? ""}</p>`
            : nothing
        }
      </div>
    </div>`;
  }

  #state(phase: CalibrationPhase): TemplateResult {
    if (phase.kind === "running") return this.#running(phase);
    if (phase.kind !== "waiting") return this.#choice();
    return html`<p data-testid="calibration-stage">Waiting for a quiet moment</p>
      ${this.#stop()}`;
  }

  #stop(): TemplateResult {
    return html`<div class="row">
      <button data-testid="calibrate-stop" @click=${() => emit(this, "cancel-calibration")}>
        Stop
      </button>
    </div>`;
  }

  #choice(): TemplateResult {
    return html`<div class="row">
      <button data-testid="calibrate" @click=${() => emit(this, "calibrate")}>Calibrate</button>
      <button
        class="quiet"
        @click=${() => this.renderRoot.querySelector<HTMLInputElement>("#texts")?.click()}
      >
        From text files…
      </button>
      <input
        id="texts"
        type="file"
        multiple
        accept=".txt,.md,text/*"
        data-testid="calibrate-texts"
        aria-label="Text files to calibrate on"
        @change=${this.#onFiles}
      />
    </div>`;
  }

  #running({ progress, secondsLeft }: Extract<CalibrationPhase, { kind: "running" }>) {
    const known = progress !== null && progress.total > 0;
    const stage = progress === null ? "Starting" : STAGES[progress.stage];
    const left = secondsLeft === null ? "" : `, ${formatWait(secondsLeft)} left`;
    return html`<p data-testid="calibration-stage">${stage}${left}</p>
      <progress
        aria-label=${stage}
        .max=${known ? progress.total : 1}
        .value=${known ? progress.loaded : 0}
      ></progress>
      ${this.#stop()}`;
  }

  #done({ explained, samples, kept }: CalibrationResult): TemplateResult {
    const shares = explained.flat();
    const mean = (100 * shares.reduce((sum, share) => sum + share, 0)) / shares.length;
    return html`<p>
      Done: ${samples} queries per head, ${mean.toFixed(0)} % of them explained.
      ${kept ? "Kept for the next time." : "Could not be kept: this browser allows no storage."}
    </p>`;
  }

  readonly #onFiles = async (event: Event): Promise<void> => {
    const field = event.target as HTMLInputElement;
    const texts = await Promise.all(Array.from(field.files ?? [], (file) => file.text()));
    field.value = "";
    if (texts.length > 0) emit<string[]>(this, "calibrate", texts);
  };
}
