import { css, html, LitElement, nothing, type TemplateResult } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { live } from "lit/directives/live.js";
import { emit } from "../events.ts";
import { formatCount } from "../format.ts";
import { controls } from "../styles/controls.ts";

/** A labelled number. Emits `number` with a value within its limits; says what they are where the user leaves them. */
@customElement("number-field")
export class NumberField extends LitElement {
  static override styles = [
    controls,
    css`
      label {
        display: block;
        margin-bottom: 0.25rem;
      }
      .problem {
        margin-top: 0.3rem;
        color: var(--danger);
      }
    `,
  ];

  @property() label = "";
  @property({ type: Number }) value = 0;
  @property({ type: Number }) min = 0;
  @property({ type: Number }) max = Number.POSITIVE_INFINITY;
  @property({ type: Number }) step = 1;
  /** The test id of the input. */
  @property() name = "";
  @state() private problem = "";

  protected override render(): TemplateResult {
    return html`<label for="field">${this.label}</label>
      <input
        type="number"
        id="field"
        data-testid=${this.name}
        min=${this.min}
        max=${this.max}
        step=${this.step}
        aria-describedby="problem"
        .value=${live(String(this.value))}
        @change=${this.#onChange}
      />
      <div id="problem" role="alert">
        ${this.problem === "" ? nothing : html`<p class="problem small" data-testid="${this.name}-problem">${this.problem}</p>`}
      </div>`;
  }

  readonly #onChange = (event: Event): void => {
    const value = (event.target as HTMLInputElement).valueAsNumber;
    const kind = this.whole ? Number.isInteger(value) : Number.isFinite(value);
    this.problem = kind && value >= this.min && value <= this.max ? "" : this.#limits();
    if (this.problem === "") emit<number>(this, "number", value);
    // What was typed gives way to what is in force.
    this.requestUpdate();
  };

  /** Steps are for the arrows: any number between them is one too. */
  get whole(): boolean {
    return Number.isInteger(this.step);
  }

  #limits(): string {
    const kind = this.whole ? "whole number" : "number";
    return `Use a ${kind} from ${this.min} to ${formatCount(this.max)}.`;
  }
}
