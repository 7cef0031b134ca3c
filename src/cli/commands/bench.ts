import type { ReadableModel } from "../../api/worker/open-engine.ts";
import { invalidArgument } from "../../errors.ts";
import type { AdapterKind } from "../../gpu/adapter-kind.ts";
import { benchEviction } from "../bench/eviction-cost.ts";
import { benchKernels } from "../bench/kernel-bench.ts";
import { layerTypes, withLayers } from "../bench/shape/layer-types.ts";
import { RandomModel } from "../bench/shape/random-model.ts";
import { benchShape } from "../bench/shape/shape-bench.ts";
import { shapeTable } from "../bench/shape/shape-table.ts";
import { readShape, type ShapeConfig } from "../bench/shape/shapes.ts";
import { evictionTable, kernelTable } from "../bench/tables.ts";
import type { Command, CommandFiles, FlagValues } from "../command.ts";
import { isSet, oneOf, optional, required, wholeNumber } from "../flags.ts";

/** What is timed, and how often. */
interface Input {
  kernels: boolean;
  eviction: boolean;
  layouts: boolean;
  /** The model of random weights that is timed, whole, and with the layers that are run. */
  shape: { name: string; whole: ShapeConfig; kept: ShapeConfig } | undefined;
  /** Undefined: those of the adapter's own kind. */
  plans: AdapterKind[] | undefined;
  histories: number[];
  prompts: number[];
  budget: number;
  runs: number;
}

/** Policies whose cost is measured: the paper's, and the default. */
const EVICTION_POLICIES = ["q-filters", "winnow"] as const;

/** Flags, and those that one of which they go with. */
const BELONG = [
  ["histories", "kernels", "shape"],
  ["layouts", "kernels"],
  ["prompts", "eviction", "shape"],
  ["budget", "eviction", "shape"],
  ["layers", "shape"],
  ["plan", "kernels", "eviction"],
] as const;

/** Times kernels and eviction on this machine's adapter, and says how near kernels come to what it can do. */
export const bench: Command<Input> = {
  name: "bench",
  summary:
    "time every kernel against a roofline measured in the same run, what eviction costs, or a model of random weights",
  usage:
    "--kernels [--histories 512,2048] [--layouts] | --eviction [--prompts 512,2048] [--budget 512]" +
    " [--plan cpu|gpu|both] [--runs 5] | --shape NAME|CONFIG.json [--layers N] [--histories 512,8192]" +
    " [--prompts 512,2048] [--budget 512] [--runs 5]",
  flags: {
    shape: "string",
    layers: "string",
    kernels: "boolean",
    eviction: "boolean",
    layouts: "boolean",
    histories: "string",
    prompts: "string",
    budget: "string",
    plan: "string",
    runs: "string",
  },
  read: async (flags, files) => {
    const asked = (["kernels", "eviction", "shape"] as const).filter((one) => isSet(flags, one));
    if (asked.length === 0) {
      throw invalidArgument(
        "--kernels",
        "or --eviction or --shape is required: there is no other bench of this command",
        "`npm run bench` in the repository compares whole engines.",
      );
    }
    for (const [flag, ...needed] of BELONG)
      if (isSet(flags, flag) && !needed.some((one) => isSet(flags, one)))
        throw invalidArgument(
          `--${flag}`,
          `belongs to ${needed.map((one) => `--${one}`).join(" or ")}, which is not given`,
        );
    const shape = isSet(flags, "shape") ? await shapeOf(flags, files) : undefined;
    const plan = isSet(flags, "plan") && oneOf(flags, "plan", ["cpu", "gpu", "both"], "both");
    return {
      kernels: isSet(flags, "kernels"),
      eviction: isSet(flags, "eviction"),
      shape,
      layouts: isSet(flags, "layouts"),
      plans: plan === "both" ? ["cpu", "gpu"] : plan ? [plan] : undefined,
      histories: readLengths(
        "histories",
        optional(flags, "histories") ?? (shape ? "512,8192" : "512,2048"),
      ),
      prompts: readLengths("prompts", optional(flags, "prompts") ?? "512,2048"),
      budget: wholeNumber(flags, "budget", { min: 128, max: 1 << 20, fallback: 512 }),
      runs: wholeNumber(flags, "runs", { min: 1, max: 1000, fallback: 5 }),
    };
  },
  ownModel: ({ shape }) => shape && (() => makeModel(shape.name, shape.kept)),
  async run(input, { engine, report }) {
    const { adapter, model } = engine.info();
    if (input.shape) {
      const shape = await benchShape(engine, { ...input, ...input.shape, report });
      return { json: { adapter, model, ...shape }, text: shapeTable(shape) };
    }
    const { kind } = engine.internals.state.gpu;
    const options = { ...input, plans: input.plans ?? [kind], report };
    const kernels = input.kernels ? await benchKernels(engine, options) : undefined;
    const eviction = input.eviction
      ? await benchEviction(engine, { ...options, policies: EVICTION_POLICIES })
      : undefined;
    return {
      json: { adapter, model, ...kernels, ...(eviction && { eviction }) },
      text: [
        ...(kernels ? [kernelTable(kernels)] : []),
        ...(eviction ? [evictionTable(eviction)] : []),
      ].join("\n\n"),
    };
  },
};

async function shapeOf(flags: FlagValues, files: CommandFiles): Promise<Input["shape"]> {
  for (const other of ["kernels", "eviction", "model"])
    if (isSet(flags, other))
      throw invalidArgument(`--${other}`, "does not go with --shape, which makes its own model");
  const name = required(flags, "shape");
  const whole = await readShape(name, files);
  const layers = layerTypes(whole).length;
  const kept = wholeNumber(flags, "layers", { min: 1, max: layers, fallback: layers });
  return { name, whole, kept: withLayers(whole, kept) };
}

/** Nobody needs to know what it holds: it has no hash. */
async function makeModel(name: string, config: ShapeConfig): Promise<ReadableModel> {
  const source = await RandomModel.of(name, config);
  return { source, name, sha256: "", verified: async () => ({ sha256: "" }) };
}

/** Numbers of 128 and more, so that a prompt chunk fits. */
function readLengths(flag: string, text: string): number[] {
  const lengths = text.split(",").map((part) => (/^\d+$/.test(part) ? Number(part) : Number.NaN));
  if (lengths.some((value) => !(value >= 128 && value <= 1 << 20))) {
    throw invalidArgument(
      `--${flag}`,
      `must be numbers of tokens from 128 on, as in 512,2048, not "${text}"`,
    );
  }
  return lengths;
}
