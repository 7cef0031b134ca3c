import { css, html, LitElement, nothing, type PropertyValues, type TemplateResult } from "lit";
import { customElement, property } from "lit/decorators.js";
import type { LoadProgress } from "../../../src/api/types.ts";
import { formatBytes, formatCount, formatWait } from "../../format.ts";
import { controls } from "../../styles/controls.ts";

type Stage = LoadProgress["stage"];

const STAGES: readonly { stage: Stage; label: string; doing: string }[] = [
  { stage: "resolve", label: "Find", doing: "Finding the model" },
  { stage: "download", label: "Download", doing: "Downloading" },
  { stage: "verify", label: "Verify", doing: "Checking the file" },
  { stage: "upload", label: "Upload", doing: "Moving weights to the GPU" },
  { stage: "compile", label: "Compile", doing: "Compiling kernels" },
];
const PAUSES: Readonly<Record<NonNullable<LoadProgress["waiting"]>["for"], string>> = {
  server: "Waiting for the server",
  connection: "Waiting for the connection",
  other: "Waiting for another tab that downloads this model",
};
const IN_BYTES: readonly Stage[] = ["download", "verify", "upload"];

/** Stage, amount, percentage and time left of a load. */
@customElement("load-progress")
export class LoadProgressView extends LitElement {
  static override styles = [
    controls,
    css`
      :host {
        margin: 1.2rem 0 1.3rem;
      }
      .line {
        display: flex;
        flex-wrap: wrap;
        align-items: baseline;
        justify-content: space-between;
        gap: 0 1rem;
        margin-bottom: 0.5rem;
      }
      .line strong {
        font-weight: 600;
      }
      .track {
        height: 10px;
        border-radius: 5px;
        background: var(--sunken);
        overflow: hidden;
      }
      .fill {
        height: 100%;
        border-radius: 5px;
        background: var(--wheat);
        transition: width 160ms linear;
      }
      .unknown .fill {
        width: 30%;
        animation: drift 1.4s ease-in-out infinite alternate;
      }
      @keyframes drift {
        to {
          transform: translateX(233%);
        }
      }
      ol {
        display: flex;
        flex-wrap: wrap;
        gap: 0.25rem 1.1rem;
        margin: 0.9rem 0 0;
        padding: 0;
        list-style: none;
        font-size: 0.8125rem;
        color: var(--muted);
      }
      li::before {
        content: "";
        display: inline-block;
        width: 6px;
        height: 9px;
        margin-right: 0.45em;
        border: 1.5px solid var(--line-strong);
        border-radius: 50%;
      }
      li.past::before,
      li[aria-current]::before {
        background: var(--wheat);
        border-color: var(--wheat);
      }
      li[aria-current] {
        color: var(--ink);
        font-weight: 600;
      }
    `,
  ];

  @property({ attribute: false }) progress!: LoadProgress;
  @property({ attribute: false }) secondsLeft: number | null = null;

  /** When the pause ends, in milliseconds of `performance.now`; null where nobody knows, or there is none. */
  #resumes: number | null = null;
  #tick: ReturnType<typeof setInterval> | undefined;

  protected override willUpdate(changed: PropertyValues<this>): void {
    if (!changed.has("progress")) return;
    clearInterval(this.#tick);
    const seconds = this.progress.waiting?.seconds;
    this.#resumes = seconds === undefined ? null : performance.now() + 1000 * seconds;
    if (this.#resumes !== null) this.#tick = setInterval(() => this.requestUpdate(), 1000);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    clearInterval(this.#tick);
  }

  protected override render(): TemplateResult {
    const { stage, loaded, total } = this.progress;
    const at = STAGES.findIndex((step) => step.stage === stage);
    const doing = this.#pause() ?? STAGES[at]?.doing ?? "Almost there";
    const known = total > 0;
    const percent = known ? Math.min(100, Math.floor((100 * loaded) / total)) : 0;
    const figures = this.#figures(percent);
    return html`<div data-testid="load-progress" data-stage=${stage}>
      <div class="line">
        <strong>${doing}</strong><span class="num muted small" data-testid="load-figures">${figures}</span>
      </div>
      <div
        class="track ${known ? "" : "unknown"}"
        role="progressbar"
        aria-label=${doing}
        aria-valuemin="0"
        aria-valuemax="100"
        aria-valuenow=${known ? percent : nothing}
        aria-valuetext=${figures || doing}
      >
        <div class="fill" .style=${known ? `width: ${(100 * loaded) / total}%` : ""}></div>
      </div>
      <ol aria-label="Stages">
        ${STAGES.map(
          (step, index) => html`<li
            class=${index < at || at < 0 ? "past" : ""}
            aria-current=${index === at ? "step" : nothing}
          >${step.label}</li>`,
        )}
      </ol>
    </div>`;
  }

  /** What a download waits for, counted down where the end is known. */
  #pause(): string | undefined {
    const { waiting } = this.progress;
    if (waiting === undefined) return undefined;
    const reason = PAUSES[waiting.for];
    if (this.#resumes === null) return reason;
    const seconds = Math.ceil((this.#resumes - performance.now()) / 1000);
    return seconds > 0 ? `${reason} (retry in ${seconds}\u00a0s)` : `${reason} (trying again)`;
  }

  #figures(percent: number): string {
    const { stage, loaded, total } = this.progress;
    if (total <= 0) return "";
    const amount = IN_BYTES.includes(stage)
      ? `${formatBytes(loaded)} of ${formatBytes(total)}`
      : `${formatCount(loaded)} of ${formatCount(total)}`;
    const left =
      this.secondsLeft === null || loaded >= total ? "" : ` · ${formatWait(this.secondsLeft)} left`;
    return `${amount} · ${percent} %${left}`;
  }
}
