import { css } from "lit";
import { controls } from "./controls.ts";

/** The page's frame: chat and panel side by side; under 1000 px the panel is a sheet from below. */
export const layout = [
  controls,
  css`
    :host {
      height: 100%;
    }
    .app {
      display: grid;
      grid-template: auto minmax(0, 1fr) / minmax(0, 1fr) 21.5rem;
      height: 100dvh;
    }
    app-header {
      grid-column: 1 / -1;
    }
    main {
      display: grid;
      grid-template: auto minmax(0, 1fr) auto / minmax(0, 1fr);
      min-height: 0;
    }
    main.welcome {
      display: block;
      grid-column: 1 / -1;
      overflow-y: auto;
    }
    message-list {
      grid-row: 2;
    }
    .write {
      grid-row: 3;
      padding: 0.25rem 1.25rem 0.7rem;
    }
    aside {
      min-height: 0;
      overflow-y: auto;
      border-left: 1px solid var(--line);
      background: var(--surface);
      overscroll-behavior: contain;
      scrollbar-width: thin;
    }
    .grip,
    .scrim {
      display: none;
    }
    @media (max-width: 1000px) {
      .app {
        grid-template-columns: minmax(0, 1fr);
      }
      aside {
        position: fixed;
        inset: auto 0 0;
        z-index: 2;
        max-height: min(82dvh, 46rem);
        max-width: 34rem;
        margin: 0 auto;
        border: 1px solid var(--line);
        border-bottom: 0;
        border-radius: 20px 20px 0 0;
        box-shadow: var(--shadow);
        visibility: hidden;
        transform: translateY(100%);
        transition:
          transform 220ms ease-out,
          visibility 220ms;
      }
      aside.open {
        visibility: visible;
        transform: none;
      }
      .grip {
        position: sticky;
        top: 0;
        z-index: 1;
        display: flex;
        align-items: center;
        justify-content: space-between;
        padding: 0.6rem 0.6rem 0.4rem 1.25rem;
        background: var(--surface);
        border-bottom: 1px solid var(--line);
      }
      .grip button {
        width: 40px;
        padding: 0;
      }
      .scrim {
        position: fixed;
        inset: 0;
        z-index: 1;
        display: block;
        background: var(--scrim);
      }
    }
    @media (max-width: 600px) {
      .write {
        padding: 0.25rem 0.75rem max(0.7rem, env(safe-area-inset-bottom));
      }
    }
  `,
];
