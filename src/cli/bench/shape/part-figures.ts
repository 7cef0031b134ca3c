import type { GpuTimer, Reset } from "../gpu-timer.ts";
import type { StepPart } from "./step-parts.ts";

/** A part of a step, or of a prompt. */
export interface PartFigure extends Pick<StepPart, "name" | "layers" | "of" | "work"> {
  /** Milliseconds of the layers that are there, and of one of them. */
  ms: number;
  msPerLayer: number;
}

/** Times the parts in turns. */
export async function partFigures(
  timer: GpuTimer,
  parts: readonly StepPart[],
  reset: Reset,
): Promise<PartFigure[]> {
  const timed = parts.map(({ dispatches }) => ({ dispatches, reset }));
  const times = await timer.timeInTurns(timed);
  return parts.map(({ name, layers, of, work }, i) => {
    const ms = times[i]!.median;
    return { name, layers, of, work, ms, msPerLayer: ms / layers };
  });
}
