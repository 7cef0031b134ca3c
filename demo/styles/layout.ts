import { css } from "lit";
import { controls } from "./controls.ts";

/**
 * The page's frame: chats, chat and panel side by side. Under 1150 px the chats are a drawer from the left, under 1000 px
 * the panel is a sheet from below.
 */
export const layout = [
  controls,
  css`
    :host {
      height: 100%;
    }
    .app {
      display: grid;
      grid-template: auto minmax(0, 1fr) / auto minmax(0, 1fr) auto;
      height: 100dvh;
    }
    nav {
      grid-column: 1;
      width: 15rem;
      min-height: 0;
      overflow: hidden auto;
      border-right: 1px solid var(--line);
      background: var(--surface);
      overscroll-behavior: contain;
      scrollbar-width: thin;
    }
    .notices {
      position: fixed;
      z-index: 3;
      top: 4.25rem;
      left: 50%;
      transform: translateX(-50%);
      pointer-events: none;
    }
    app-header {
      grid-column: 1 / -1;
    }
    main {
      grid-column: 2;
      display: grid;
      grid-template: auto minmax(0, 1fr) auto / minmax(0, 1fr);
      min-height: 0;
    }
    main:is(.welcome, .resume) {
      grid-column: 2 / -1;
    }
    main.welcome {
      display: block;
      overflow-y: auto;
    }
    .load {
      grid-row: 3;
      max-height: 60dvh;
      padding: 0.25rem 1.25rem 0.7rem;
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
      grid-column: 3;
      width: 21.5rem;
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
    .grip {
      position: sticky;
      top: 0;
      z-index: 1;
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
    /* Not as they close: a window that is made narrower would show both on their way out. */
    nav.open,
    aside.open {
      transition:
        transform 220ms ease-out,
        visibility 220ms;
    }
    @media (max-width: 1150px) {
      nav {
        position: fixed;
        inset: 0 auto 0 0;
        z-index: 2;
        width: min(20rem, 86vw);
        box-shadow: var(--shadow);
        visibility: hidden;
        transform: translateX(-100%);
      }
      nav.open {
        visibility: visible;
        transform: none;
      }
      nav .grip {
        display: flex;
      }
      .scrim {
        position: fixed;
        inset: 0;
        z-index: 1;
        display: block;
        background: var(--scrim);
      }
    }
    @media (max-width: 1000px) {
      aside {
        position: fixed;
        inset: auto 0 0;
        z-index: 2;
        width: auto;
        max-height: min(82dvh, 46rem);
        max-width: 34rem;
        margin: 0 auto;
        border: 1px solid var(--line);
        border-bottom: 0;
        border-radius: 20px 20px 0 0;
        box-shadow: var(--shadow);
        visibility: hidden;
        transform: translateY(100%);
      }
      aside .grip {
        display: flex;
      }
      aside.open {
        visibility: visible;
        transform: none;
      }
    }
    @media (max-width: 600px) {
      :is(.write, .load) {
        padding: 0.25rem 0.75rem max(0.7rem, env(safe-area-inset-bottom));
      }
    }
  `,
];
