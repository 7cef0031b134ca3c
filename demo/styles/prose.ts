import { css } from "lit";

/** Rendered Markdown. */
export const prose = css`
  .prose {
    overflow-wrap: anywhere;
  }
  .prose > :first-child {
    margin-top: 0;
  }
  .prose > :last-child {
    margin-bottom: 0;
  }
  .prose.growing > :last-child:not(ul, ol, .code)::after,
  .prose.growing > :is(ul, ol):last-child > li:last-child::after {
    content: "";
    display: inline-block;
    width: 0.42em;
    height: 0.95em;
    margin-left: 0.15em;
    border-radius: 50% 50% 50% 50% / 60% 60% 40% 40%;
    background: var(--wheat);
    vertical-align: -0.12em;
    animation: pulse 1s ease-in-out infinite;
  }
  @keyframes pulse {
    50% {
      opacity: 0.25;
    }
  }
  .prose p,
  .prose ul,
  .prose ol,
  .prose blockquote,
  .prose table,
  .prose .code {
    margin: 0.75em 0;
  }
  .prose :is(h1, h2, h3, h4, h5, h6) {
    margin: 1.2em 0 0.4em;
    font-family: var(--display);
    line-height: 1.25;
    font-weight: 600;
  }
  .prose h1 {
    font-size: 1.5rem;
  }
  .prose h2 {
    font-size: 1.3rem;
  }
  .prose h3 {
    font-size: 1.12rem;
  }
  .prose :is(h4, h5, h6) {
    font-size: 1rem;
  }
  .prose :is(ul, ol) {
    padding-left: 1.5em;
  }
  .prose li + li {
    margin-top: 0.25em;
  }
  .prose li::marker {
    color: var(--wheat-text);
  }
  .prose a {
    color: var(--pine);
    text-underline-offset: 0.18em;
  }
  .prose blockquote {
    margin-left: 0;
    padding-left: 1em;
    border-left: 3px solid var(--wheat);
    color: var(--muted);
  }
  .prose hr {
    border: 0;
    border-top: 1px solid var(--line);
    margin: 1.5em 0;
  }
  .prose code {
    padding: 0.1em 0.35em;
    border-radius: 5px;
    background: var(--sunken);
    font: 0.875em/1.5 var(--mono);
  }
  .prose .code {
    border: 1px solid var(--line);
    border-radius: var(--radius-s);
    background: var(--surface);
    overflow: hidden;
  }
  .prose .code-bar {
    display: flex;
    align-items: center;
    justify-content: space-between;
    padding: 0.15rem 0.3rem 0.15rem 0.85rem;
    background: var(--sunken);
    color: var(--muted);
    font: 0.78rem var(--mono);
  }
  .prose .code-bar button {
    min-height: 28px;
    border: 0;
    background: none;
    color: inherit;
    font: 0.78rem var(--font);
  }
  .prose .code-bar button:hover {
    color: var(--ink);
  }
  .prose pre {
    margin: 0;
    padding: 0.8rem 0.95rem;
    overflow-x: auto;
  }
  .prose pre:focus-visible {
    outline-offset: -3px;
  }
  .prose pre code {
    padding: 0;
    background: none;
    overflow-wrap: normal;
  }
  .prose table {
    display: block;
    max-width: 100%;
    overflow-x: auto;
    border-collapse: collapse;
  }
  .prose :is(th, td) {
    padding: 0.35em 0.9em 0.35em 0;
    border-bottom: 1px solid var(--line);
    text-align: left;
    font-variant-numeric: tabular-nums;
  }
  .prose th {
    border-bottom-color: var(--line-strong);
    font-weight: 600;
  }
`;
