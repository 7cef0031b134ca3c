import { DEFAULT_SAMPLES } from "../../../calibrate/calibrate.ts";
import { calibrationReport } from "../../../calibrate/report.ts";
import {
  calibrateEngine,
  DEFAULT_SEQUENCES,
  OWN_TEXT_SAMPLES,
} from "../../api/calibration/calibrate-engine.ts";
import { type Calibration, readCalibration } from "../../cache/filters-file.ts";
import { invalidArgument } from "../../errors.ts";
import { fromBase64, toBase64 } from "../../formats/base64.ts";
import type { Command } from "../command.ts";
import { isSet, list, optional, required, wholeNumber } from "../flags.ts";

interface Input {
  /** Undefined: text that the model writes itself. */
  texts: string[] | undefined;
  samples: number;
  sequences: number;
  seed: number;
  covariance: boolean;
  out: string;
  report: string | undefined;
  /** A calibration file to compare with, as base64. */
  compare: { name: string; base64: string } | undefined;
}

export const calibrateCommand: Command<Input> = {
  name: "calibrate",
  summary: "make the Q-Filters of a model, and what other policies need, from texts",
  usage:
    `(--text FILE... | --own-text) [--samples ${DEFAULT_SAMPLES}] [--sequences ${DEFAULT_SEQUENCES}]` +
    " [--seed 0] [--no-covariance] --out F.safetensors [--report FILE.html [--compare OTHER.safetensors]]",
  flags: {
    text: "string",
    "own-text": "boolean",
    samples: "string",
    sequences: "string",
    seed: "string",
    "no-covariance": "boolean",
    out: "string",
    report: "string",
    compare: "string",
  },
  listFlag: "text",
  // Nothing is evicted while heads are captured, so no policy is missed.
  cacheDefaults: { policy: "full" },
  read: async (flags, files) => {
    const out = required(flags, "out");
    await files.checkWritable("out", out);
    const own = isSet(flags, "own-text");
    if (own && isSet(flags, "text"))
      throw invalidArgument("--own-text", "has no use beside --text");
    const fallback = own ? OWN_TEXT_SAMPLES : DEFAULT_SAMPLES;
    const samples = wholeNumber(flags, "samples", { min: 1, fallback });
    const sequences = wholeNumber(flags, "sequences", {
      min: 1,
      max: 100_000,
      fallback: DEFAULT_SEQUENCES,
    });
    const seed = wholeNumber(flags, "seed", { min: 0, fallback: 0 });
    const covariance = !isSet(flags, "no-covariance");
    const report = optional(flags, "report");
    if (report !== undefined) await files.checkWritable("report", report);
    const compared = optional(flags, "compare");
    if (compared !== undefined && report === undefined)
      throw invalidArgument("--compare", "has no use without --report");
    const compare =
      compared === undefined
        ? undefined
        : { name: compared, base64: toBase64(await files.readBytes("compare", compared)) };
    if (own)
      return { texts: undefined, samples, sequences, seed, covariance, out, report, compare };
    const texts: string[] = [];
    for (const path of list(flags, "text")) texts.push(await files.readText("text", path));
    return { texts, samples, sequences, seed, covariance, out, report, compare };
  },
  async run(
    { texts, samples, sequences, seed, covariance, out, report, compare },
    { engine, modelSha256, report: progress },
  ) {
    const other = compare && readOther(compare, engine.shape);
    const made = await calibrateEngine(engine, {
      ...(texts ? { texts } : {}),
      samples,
      sequences,
      seed,
      covariance,
      agreement: report !== undefined,
      modelSha256,
      onProgress: ({ stage, loaded, total }) => progress(stage, loaded, total),
    });
    const { layers, kvHeads, headDim, explained, notices } = made;
    const mean = explained.flat().reduce((sum, part) => sum + part, 0) / (layers * kvHeads);
    const files: Record<string, Uint8Array> = { [out]: made.file };
    if (report !== undefined) {
      const model = { name: engine.info().model.name, sha256: modelSha256 };
      const page = calibrationReport(made, { model, tokens: made.tokens, compare: other });
      files[report] = new TextEncoder().encode(page);
    }
    return {
      json: {
        layers,
        kv_heads: kvHeads,
        head_dim: headDim,
        explained,
        sequences: made.sequences,
        tokens: made.tokens,
        samples,
        seed,
        notices: [...notices],
        adapter: engine.info().adapter,
      },
      text: [
        `${out}: ${layers} layers x ${kvHeads} heads x ${headDim}, ${(100 * mean).toFixed(1)} % of the queries explained`,
        ...notices,
      ].join("\n"),
      files,
    };
  },
};

/** The file to compare with; refused where its shape is not the model's, before anything is run. */
function readOther(
  { name, base64 }: NonNullable<Input["compare"]>,
  { layers, kvHeads, headDim }: { layers: number; kvHeads: number; headDim: number },
): { name: string; calibration: Calibration } {
  const calibration = readCalibration(fromBase64(base64), name);
  const { filters } = calibration;
  if (filters.layers !== layers || filters.kvHeads !== kvHeads || filters.headDim !== headDim)
    throw invalidArgument(
      "--compare",
      `${name} has filters of shape [${filters.layers}, ${filters.kvHeads}, ${filters.headDim}], this model [${layers}, ${kvHeads}, ${headDim}]`,
    );
  return { name, calibration };
}
