import { invalidArgument } from "../errors.ts";
import {
  checkBoolean,
  checkHooks,
  checkNames,
  checkNumber,
  checkRecord,
  describe,
} from "./check.ts";
import type { CalibrateOptions } from "./types.ts";

const FIELDS = ["texts", "samples", "seed", "keep", "onProgress", "signal"];

/** Checks the argument of engine.calibrate. */
export function checkCalibrateOptions(value: unknown): CalibrateOptions {
  const given = checkRecord("options", value);
  checkNames("", given, FIELDS, { text: "is called texts, and is a list" });
  const checked: CalibrateOptions = {};
  if (given.texts !== undefined) checked.texts = checkTexts(given.texts);
  const whole = { min: 1, max: 1_000_000, integer: true };
  if (given.samples !== undefined) checked.samples = checkNumber("samples", given.samples, whole);
  if (given.seed !== undefined)
    checked.seed = checkNumber("seed", given.seed, { min: 0, max: 2 ** 32 - 1, integer: true });
  if (given.keep !== undefined) checked.keep = checkBoolean("keep", given.keep);
  return { ...checked, ...checkHooks<NonNullable<CalibrateOptions["onProgress"]>>(given) };
}

function checkTexts(value: unknown): string[] {
  if (!Array.isArray(value) || value.length === 0)
    throw invalidArgument("texts", `must be a list of texts, not ${describe(value)}`);
  const wrong = value.findIndex((text) => typeof text !== "string");
  if (wrong >= 0)
    throw invalidArgument(`texts[${wrong}]`, `must be a string, not ${describe(value[wrong])}`);
  return [...(value as string[])];
}
