import { css, html, LitElement, nothing, type TemplateResult } from "lit";
import { customElement, property } from "lit/decorators.js";
import type { EngineInfo, MemoryReport } from "../../../src/api/types.ts";
import { formatBytes } from "../../format.ts";
import { controls } from "../../styles/controls.ts";

const PURPOSES: readonly { key: Exclude<keyof MemoryReport, "total">; label: string }[] = [
  { key: "weights", label: "Weights" },
  { key: "kv", label: "Keys and values" },
  { key: "activations", label: "Activations" },
  { key: "staging", label: "Staging" },
];

/** GPU bytes by purpose, and what runs where. */
@customElement("memory-table")
export class MemoryTable extends LitElement {
  static override styles = [
    controls,
    css`
      table {
        width: 100%;
        border-collapse: collapse;
        font-variant-numeric: tabular-nums;
      }
      th,
      td {
        padding: 0.14rem 0;
        text-align: left;
        font-weight: 400;
      }
      th {
        color: var(--muted);
      }
      td {
        text-align: right;
      }
      tfoot :is(th, td) {
        padding-top: 0.35rem;
        color: var(--ink);
        font-weight: 600;
      }
      tfoot tr {
        border-top: 1px solid var(--line);
      }
      p {
        margin-top: 0.6rem;
        overflow-wrap: anywhere;
      }
    `,
  ];

  @property({ attribute: false }) memory: MemoryReport | null = null;
  @property({ attribute: false }) info: EngineInfo | null = null;

  protected override render(): TemplateResult {
    const { memory, info } = this;
    return html`${
      memory === null
        ? nothing
        : html`<table class="small">
          <caption class="hidden-text">GPU memory by purpose</caption>
          <tbody>
            ${PURPOSES.map(
              ({ key, label }) => html`<tr>
                <th scope="row">${label}</th>
                <td>${formatBytes(memory[key])}</td>
              </tr>`,
            )}
          </tbody>
          <tfoot>
            <tr>
              <th scope="row">Total on the GPU</th>
              <td data-testid="memory-total" data-bytes=${memory.total}>${formatBytes(memory.total)}</td>
            </tr>
          </tfoot>
        </table>`
    }
    ${info === null ? nothing : html`<p class="small muted" data-testid="adapter">${adapterName(info)}</p>`}`;
  }
}

function adapterName({ adapter, features }: EngineInfo): string {
  const name =
    adapter.description || [adapter.vendor, adapter.architecture].filter(Boolean).join(" ");
  // Firefox names no adapter.
  return [name, features.join(", ")].filter(Boolean).join(" · ");
}
