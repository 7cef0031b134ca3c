import { percent, rooflineLines } from "../tables.ts";
import type { ShapeFigure, ShapeReport } from "./shape-bench.ts";

/** Tokens and prompts, with what each kind of layer takes; what is extrapolated says so. */
export function shapeTable({ timing, roofline, shape, decode, prompts }: ShapeReport): string {
  const { name, layers, kept, fileBytes, weightBytes } = shape;
  const mega = (bytes: number): string => `${Math.round(bytes / 1e6)} MB`;
  const cut = kept < layers ? `, of which ${kept} were run: figures with ~ are extrapolated` : "";
  return [
    `${name}, random weights as in Q4_K_M: ${layers} layers${cut}; ${mega(fileBytes)} as a file, ${mega(weightBytes)} on the GPU`,
    ...rooflineLines(timing, roofline),
    "",
    ...decode.map((one) => `a token behind ${one.history}, ${held(one)}: ${line(one, "tokens/s")}`),
    ...prompts.map(
      (one) =>
        `a prompt of ${one.prompt}, ${held(one)}: ${line(one, "tokens/s, without the head")}`,
    ),
  ].join("\n");
}

const held = ({ budget, policy }: ShapeFigure): string =>
  budget === "full" ? "nothing dropped" : `budget ${budget} by ${policy}`;

function line(one: ShapeFigure, unit: string): string {
  const about = one.extrapolated ? "~" : "";
  const parts = one.parts.map(
    ({ name, of, msPerLayer }) => `${name} ${of > 1 ? `${of} x ` : ""}${msPerLayer.toFixed(3)} ms`,
  );
  return (
    `${about}${one.tokensPerS.toFixed(2)} ${unit} (${about}${one.ms.toFixed(2)} ms: ${parts.join(", ")});` +
    ` ${one.gbPerS.toFixed(2)} GB/s, ${one.gflops.toFixed(2)} GFLOPS, ${percent(one.share)} of the roofline, bound by ${one.boundBy}`
  );
}
