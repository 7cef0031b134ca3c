import { invalidArgument } from "../../errors.ts";
import type { AdapterKind } from "../../gpu/adapter-kind.ts";
import { benchEviction } from "../bench/eviction-cost.ts";
import { benchKernels } from "../bench/kernel-bench.ts";
import { evictionTable, kernelTable } from "../bench/tables.ts";
import type { Command } from "../command.ts";
import { isSet, oneOf, optional, wholeNumber } from "../flags.ts";

/** What is timed, and how often. */
interface Input {
  kernels: boolean;
  eviction: boolean;
  layouts: boolean;
  /** Undefined: those of the adapter's own kind. */
  plans: AdapterKind[] | undefined;
  histories: number[];
  prompts: number[];
  budget: number;
  runs: number;
}

/** Policies whose cost is measured: the paper's, and the default. */
const EVICTION_POLICIES = ["q-filters", "winnow"] as const;

/** Times kernels and eviction on this machine's adapter, and says how near kernels come to what it can do. */
export const bench: Command<Input> = {
  name: "bench",
  summary: "time every kernel against a roofline measured in the same run, or what eviction costs",
  usage:
    "--kernels [--histories 512,2048] [--layouts] | --eviction [--prompts 512,2048] [--budget 512]" +
    " [--plan cpu|gpu|both] [--runs 5]",
  flags: {
    kernels: "boolean",
    eviction: "boolean",
    layouts: "boolean",
    histories: "string",
    prompts: "string",
    budget: "string",
    plan: "string",
    runs: "string",
  },
  read: async (flags) => {
    const [kernels, eviction] = [isSet(flags, "kernels"), isSet(flags, "eviction")];
    if (!kernels && !eviction) {
      throw invalidArgument(
        "--kernels",
        "or --eviction is required: there is no other bench of this command",
        "`npm run bench` in the repository compares whole engines.",
      );
    }
    for (const [flag, needed] of [
      ["histories", "kernels"],
      ["layouts", "kernels"],
      ["prompts", "eviction"],
      ["budget", "eviction"],
    ] as const)
      if (isSet(flags, flag) && !isSet(flags, needed))
        throw invalidArgument(`--${flag}`, `belongs to --${needed}, which is not given`);
    const plan = isSet(flags, "plan") && oneOf(flags, "plan", ["cpu", "gpu", "both"], "both");
    return {
      kernels,
      eviction,
      layouts: isSet(flags, "layouts"),
      plans: plan === "both" ? ["cpu", "gpu"] : plan ? [plan] : undefined,
      histories: readLengths("histories", optional(flags, "histories") ?? "512,2048"),
      prompts: readLengths("prompts", optional(flags, "prompts") ?? "512,2048"),
      budget: wholeNumber(flags, "budget", { min: 128, max: 1 << 20, fallback: 512 }),
      runs: wholeNumber(flags, "runs", { min: 1, max: 1000, fallback: 5 }),
    };
  },
  async run(input, { engine, report }) {
    const { kind } = engine.internals.state.gpu;
    const options = { ...input, plans: input.plans ?? [kind], report };
    const kernels = input.kernels ? await benchKernels(engine, options) : undefined;
    const eviction = input.eviction
      ? await benchEviction(engine, { ...options, policies: EVICTION_POLICIES })
      : undefined;
    const { adapter, model } = engine.info();
    return {
      json: { adapter, model, ...kernels, ...(eviction && { eviction }) },
      text: [
        ...(kernels ? [kernelTable(kernels)] : []),
        ...(eviction ? [evictionTable(eviction)] : []),
      ].join("\n\n"),
    };
  },
};

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
