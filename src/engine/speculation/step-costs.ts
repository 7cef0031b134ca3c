import { DRAFT_ROWS } from "../../model/draft-rows.ts";

/** Time of a step of n tokens over that of one, before any was timed: [1 .. DRAFT_ROWS]. */
const ASSUMED = {
  /** Products are bound by arithmetic: two rows share the unpacking of weights, more save nothing else. */
  cpu: [1, 1.45, 2.6, 2.8],
  /** Bound by reading the weights, which is done once; the rest by the number of dispatches. */
  gpu: [1, 1.1, 1.2, 1.3],
} as const;

/** How fast an old minimum is forgotten: doubled after 35 steps. */
const FORGETTING = 1.02;
/** How fast what was measured goes back to what is assumed while it is not measured: by half in 35 steps of one. */
const DOUBT = 0.02;

/** Costs of steps of one token and of several on this device, from their times as they go by. */
export class StepCosts {
  /** Recent least milliseconds of a step of n tokens. */
  private readonly least: (number | undefined)[] = [];
  private readonly assumed: readonly number[];
  private readonly known = new Set<number>();

  constructor(isCpu: boolean) {
    this.assumed = isCpu ? ASSUMED.cpu : ASSUMED.gpu;
  }

  /** The first step of a kind pays for what is made on first use, and does not count. */
  note(rows: number, ms: number): void {
    if (!this.known.has(rows)) {
      this.known.add(rows);
      return;
    }
    const before = this.least[rows];
    this.least[rows] = before === undefined ? ms : Math.min(before * FORGETTING, ms);
    if (rows > 1) return;
    // One unlucky timing must not rule a step out for good.
    for (let several = 2; several <= DRAFT_ROWS; several += 1) {
      const known = this.least[several];
      const usual = this.assumed[several - 1]! * this.least[1]!;
      if (known !== undefined) this.least[several] = known + DOUBT * (usual - known);
    }
  }

  /** Time of a step of `rows` tokens (at most DRAFT_ROWS) over that of one. */
  ratio(rows: number): number {
    const [one, several] = [this.least[1], this.least[rows]];
    if (one !== undefined && several !== undefined) return several / one;
    return this.assumed[Math.min(rows, DRAFT_ROWS) - 1]!;
  }
}
