import code from "../../../shaders/products/embed.wgsl";
import type { GpuContext } from "../../gpu/context.ts";
import { type Dispatch, type Kernel, wgslConstants, wgslFloat } from "../../gpu/kernel.ts";
import { shaderStruct } from "../../gpu/shader-struct.ts";
import { declareBindings, reads, uniform, writes } from "./bindings.ts";
import { BLOCK, type WeightLayout } from "./weight-layouts.ts";
import { streamsOf, type WeightMatrix } from "./weights.ts";

export interface EmbedBuffers {
  readonly batch: GPUBuffer;
  /** vec4<u32> [first + M]: token, position, lane, 0 */
  readonly rows: GPUBuffer;
  /** f32 [M, E] */
  readonly y: GPUBuffer;
}

export interface BoundEmbed {
  /** One dispatch a part of the matrix. */
  dispatches(rows: number): Dispatch[];
}

export interface Embed {
  bind(buffers: EmbedBuffers): BoundEmbed;
}

const GROUP = 64;

const EMBED_SHAPE = shaderStruct<"rows" | "first_row">(code, "EmbedShape");

/** y[m] = scale W[rows[first + m].token] for W [V, E] in any layout; a token >= V writes nothing. */
export async function createEmbed(
  gpu: GpuContext,
  matrix: WeightMatrix,
  scale = 1,
): Promise<Embed> {
  const blocks = Math.ceil(matrix.cols / BLOCK);
  const parts = await Promise.all(
    matrix.parts.map(async (part) => ({
      part,
      kernel: await embedKernel(gpu, part.layout, matrix.cols, scale),
      shape: gpu.ledger.uniform(
        "embed shape",
        EMBED_SHAPE.pack({ rows: part.rows, first_row: part.firstRow }),
      ),
    })),
  );
  return {
    bind({ batch, rows, y }) {
      const bound = parts.map(({ part, kernel, shape }) =>
        kernel.dispatch({ batch, shape, rows, y, ...streamsOf(part) }, [1]),
      );
      return {
        dispatches: (count) =>
          bound.map((each) => ({ ...each, workgroups: [Math.ceil(blocks / GROUP), count] })),
      };
    },
  };
}

async function embedKernel(
  gpu: GpuContext,
  layout: WeightLayout,
  cols: number,
  scale: number,
): Promise<Kernel> {
  const bindings = [
    uniform("batch", "Batch"),
    uniform("shape", "EmbedShape"),
    reads("rows", "array<vec4<u32>>"),
    writes("y", "array<vec4<f32>>"),
    ...layout.streams.map(({ name, type }) => reads(name, type)),
  ];
  return gpu.kernel({
    label: `embed ${layout.name}`,
    code: [
      wgslConstants({ ROW_BLOCKS: Math.ceil(cols / BLOCK), COLS4: cols / 4 }),
      `const SCALE = ${wgslFloat(scale)};`,
      declareBindings(bindings),
      ...(await layout.code()),
      code,
    ],
  });
}
