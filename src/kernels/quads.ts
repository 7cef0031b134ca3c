import quad from "../../shaders/lib/quad.wgsl";
import alone from "../../shaders/lib/quad_alone.wgsl";
import type { GpuContext } from "../gpu/context.ts";

/** How many invocations share what they load, and the WGSL for it (shaders/lib/quad.wgsl). */
export interface Sharing {
  readonly share: 1 | 4;
  /** Goes before all else in a module. */
  readonly header: string;
  readonly code: readonly string[];
}

/** Each invocation by itself. */
export const ALONE: Sharing = { share: 1, header: "", code: alone };

const QUADS: Sharing = {
  share: 4,
  // Loops that go as far as any lane of a quad needs are uniform in it, which WGSL cannot know.
  header: "enable subgroups;\ndiagnostic(off, subgroup_uniformity);",
  code: quad,
};

/** Quads where loads are dear and lanes can swap registers: on CPU adapters with subgroups. A GPU's cache does as well. */
export const sharingOf = ({ kind, device }: GpuContext): Sharing =>
  kind === "cpu" && device.features.has("subgroups") ? QUADS : ALONE;
