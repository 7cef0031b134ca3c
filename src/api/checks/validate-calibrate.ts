import { invalidArgument } from "../../errors.ts";
import type { CalibrateOptions } from "../types.ts";
import {
  checkBoolean,
  checkHooks,
  checkNumber,
  checkSeed,
  describe,
  readFields,
  reading,
} from "./check.ts";

const FIELDS = ["texts", "samples", "seed", "keep", "onProgress", "signal"];

/** Checks the argument of engine.calibrate. */
export function checkCalibrateOptions(value: unknown): CalibrateOptions {
  const reasons = { text: "is called texts, and is a list" };
  const given = readFields("options", value, FIELDS, { path: "", reasons });
  const checked: CalibrateOptions = {};
  if (given.texts !== undefined) checked.texts = reading("texts", () => checkTexts(given.texts));
  const whole = { min: 1, max: 1_000_000, integer: true };
  if (given.samples !== undefined) checked.samples = checkNumber("samples", given.samples, whole);
  if (given.seed !== undefined) checked.seed = checkSeed("seed", given.seed);
  if (given.keep !== undefined) checked.keep = checkBoolean("keep", given.keep);
  return { ...checked, ...checkHooks<NonNullable<CalibrateOptions["onProgress"]>>(given) };
}

function checkTexts(value: unknown): string[] {
  if (!Array.isArray(value) || value.length === 0)
    throw invalidArgument("texts", `must be a list of texts, not ${describe(value)}`);
  const texts: unknown[] = Array.from(value);
  const wrong = texts.findIndex((text) => typeof text !== "string");
  if (wrong >= 0)
    throw invalidArgument(`texts[${wrong}]`, `must be a string, not ${describe(texts[wrong])}`);
  return texts as string[];
}
