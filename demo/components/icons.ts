import { html, svg, type TemplateResult } from "lit";

/** Line icons on a 24-unit grid; decorative, so hidden from assistive technology. */
const icon = (shape: TemplateResult): TemplateResult =>
  html`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true">${shape}</svg>`;

export const sendIcon = icon(svg`<path d="M12 19V5M6 11l6-6 6 6" />`);
export const stopIcon = icon(
  svg`<rect x="7" y="7" width="10" height="10" rx="1.5" fill="currentColor" />`,
);
export const retryIcon = icon(svg`<path d="M20 11a8 8 0 1 0-2.3 6.3M20 5v6h-6" />`);
export const copyIcon = icon(
  svg`<rect x="9" y="9" width="11" height="11" rx="2" /><path d="M5 15V6a2 2 0 0 1 2-2h8" />`,
);
export const editIcon = icon(svg`<path d="M4 20h4L19 9l-4-4L4 16zM13 7l4 4" />`);
export const plusIcon = icon(svg`<path d="M12 5v14M5 12h14" />`);
export const closeIcon = icon(svg`<path d="M6 6l12 12M18 6L6 18" />`);
export const downIcon = icon(svg`<path d="M12 5v14M6 13l6 6 6-6" />`);
export const checkIcon = icon(svg`<path d="M5 12.5l4.5 4.5L19 7.5" />`);
export const warnIcon = icon(svg`<path d="M12 4l9 16H3zM12 10v4M12 17v.01" />`);
export const binIcon = icon(svg`<path d="M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13M10 11v5M14 11v5" />`);
export const saveIcon = icon(svg`<path d="M12 4v11M7 10l5 5 5-5M5 20h14" />`);
export const menuIcon = icon(svg`<path d="M4 7h16M4 12h16M4 17h10" />`);
export const pageIcon = icon(svg`<path d="M6 3h8l4 4v14H6zM14 3v4h4M9 12h6M9 16h6" />`);
export const clipIcon = icon(
  svg`<path d="M20 11l-8.5 8.5a5 5 0 0 1-7-7L13 4a3.3 3.3 0 0 1 4.7 4.7L9.5 17a1.7 1.7 0 0 1-2.4-2.4L14.5 7" />`,
);
export const gaugeIcon = icon(svg`<path d="M4 18a9 9 0 1 1 16 0M12 15l4-5" />`);

/** An ear of wheat: four grains kept, one let go. */
export const logo = html`<svg class="logo" viewBox="0 0 32 32" aria-hidden="true">
  <path d="M16 30V12" stroke="var(--pine)" stroke-width="2" stroke-linecap="round" />
  <g fill="var(--wheat)">
    <path d="M16 2c3 3 3 7 0 10c-3-3-3-7 0-10z" />
    <path d="M15 17c-4 0-7-2-7-6c4 0 7 2 7 6z" />
    <path d="M17 17c4 0 7-2 7-6c-4 0-7 2-7 6z" />
    <path d="M15 25c-4 0-7-2-7-6c4 0 7 2 7 6z" />
  </g>
  <path d="M17 25c4 0 7-2 7-6c-4 0-7 2-7 6z" fill="none" stroke="var(--wheat)" stroke-width="1.4" />
</svg>`;
