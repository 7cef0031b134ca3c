import { css } from "lit";

/** Buttons, fields and helpers that every component shares. */
export const controls = css`
  :host {
    display: block;
    box-sizing: border-box;
  }
  :host([hidden]) {
    display: none;
  }
  *,
  *::before,
  *::after {
    box-sizing: border-box;
  }
  h2,
  h3,
  p {
    margin: 0;
  }
  button,
  input,
  select,
  textarea {
    font: inherit;
    color: inherit;
  }
  button {
    display: inline-flex;
    align-items: center;
    justify-content: center;
    gap: 0.45em;
    min-height: 36px;
    padding: 0 0.9em;
    border: 1px solid var(--line);
    border-radius: 999px;
    background: var(--raised);
    cursor: pointer;
    white-space: nowrap;
    transition:
      background-color 120ms,
      border-color 120ms;
  }
  button:hover:not(:disabled) {
    border-color: var(--line-strong);
  }
  button:disabled {
    cursor: default;
    opacity: 0.5;
  }
  button.primary {
    background: var(--pine);
    border-color: var(--pine);
    color: var(--on-pine);
    font-weight: 600;
  }
  button.primary:hover:not(:disabled) {
    background: var(--pine-hover);
    border-color: var(--pine-hover);
  }
  button.quiet {
    background: none;
    border-color: transparent;
    color: var(--muted);
  }
  button.quiet:hover:not(:disabled) {
    background: var(--sunken);
    color: var(--ink);
  }
  button.link {
    min-height: 0;
    padding: 0;
    border: 0;
    background: none;
    color: var(--pine);
    text-decoration: underline;
    text-underline-offset: 0.2em;
  }
  input:not([type="range"], [type="radio"], [type="checkbox"]),
  select,
  textarea {
    width: 100%;
    min-height: 38px;
    padding: 0.4em 0.7em;
    border: 1px solid var(--line-strong);
    border-radius: var(--radius-s);
    background: var(--raised);
  }
  :focus-visible {
    outline: 2.5px solid var(--pine);
    outline-offset: 2px;
  }
  .icon {
    flex: none;
    width: 1.15em;
    height: 1.15em;
    fill: none;
    stroke: currentColor;
    stroke-width: 1.75;
    stroke-linecap: round;
    stroke-linejoin: round;
  }
  .num {
    font-variant-numeric: tabular-nums;
  }
  .muted {
    color: var(--muted);
  }
  .small {
    font-size: 0.8125rem;
    line-height: 1.45;
  }
  .error {
    padding: 0.6rem 0.8rem;
    border-radius: var(--radius-s);
    background: var(--danger-soft);
    color: var(--danger);
    font-size: 0.875rem;
    line-height: 1.45;
  }
  .error p + p {
    margin-top: 0.2rem;
    color: var(--ink);
  }
  .hidden-text {
    position: absolute;
    width: 1px;
    height: 1px;
    margin: -1px;
    overflow: hidden;
    clip-path: inset(50%);
    white-space: nowrap;
  }
  @media (prefers-reduced-motion: reduce) {
    *,
    *::before,
    *::after {
      animation: none !important;
      transition: none !important;
    }
  }
`;
