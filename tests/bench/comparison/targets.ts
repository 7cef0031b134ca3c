import type { Key, Result, Target } from "./report.ts";
import { keyText } from "./report.ts";

/** The figures that must be shown, from the medians of one run. */
export function targetsOf(results: readonly Result[]): Target[] {
  const medians = new Map(results.map((result) => [keyText(result), result.median]));
  const of = (key: Key): number | undefined => medians.get(keyText(key));
  const ratio = (a: Key, b: Key): number | undefined => {
    const [x, y] = [of(a), of(b)];
    return x === undefined || y === undefined || y === 0 ? undefined : x / y;
  };
  const decode = (
    length: number,
    budget: number | "full",
    engine: Key["engine"] = "winnow",
  ): Key => ({
    engine,
    metric: "decode",
    length,
    budget,
  });
  const prefill = (engine: Key["engine"]): Key => ({
    engine,
    metric: "prefill",
    length: 512,
    budget: "full",
  });
  const single = (metric: Key["metric"], engine: Key["engine"] = "winnow"): Key => ({
    engine,
    metric,
  });
  const tjs = "transformers.js";
  return [
    least(
      "decode at 512, budget 512, against transformers.js",
      20,
      ratio(decode(512, 512), decode(512, "full", tjs)),
    ),
    least(
      "decode at 8,192, budget 512, against wllama",
      1,
      ratio(decode(8192, 512), decode(8192, "full", "wllama")),
    ),
    least(
      "decode at 8,192, budget 512, against transformers.js",
      40,
      ratio(decode(8192, 512), decode(8192, "full", tjs)),
    ),
    least("prefill of 512 against transformers.js", 2.5, ratio(prefill("winnow"), prefill(tjs))),
    most(
      "time a token at 8,192 against 512, budget 512",
      1.05,
      ratio(decode(512, 512), decode(8192, 512)),
    ),
    most("submits a token", 1, of(single("submits_per_token"))),
    most("buffers created a token", 0, of(single("buffers_per_token"))),
    most("bundle, gzip bytes", 60_000, of(single("bundle_bytes"))),
    most(
      "load to first token against wllama",
      0.5,
      ratio(single("load_to_first_token"), single("load_to_first_token", "wllama")),
    ),
    most(
      "second turn's first token against the first's, longest history",
      0.1,
      secondTurn(results),
    ),
  ];
}

/** At the longest history that Winnow ran with nothing evicted. */
function secondTurn(results: readonly Result[]): number | undefined {
  const of = (metric: Key["metric"]): Result[] =>
    results
      .filter((one) => one.engine === "winnow" && one.metric === metric && one.budget === "full")
      .sort((a, b) => b.length! - a.length!);
  const [second] = of("second_turn_first_token");
  const first = of("time_to_first_token").find(({ length }) => length === second?.length);
  return second && first ? second.median / first.median : undefined;
}

const target = (
  what: string,
  wanted: string,
  value: number | undefined,
  good: (value: number) => boolean,
): Target =>
  value === undefined
    ? { what, wanted, met: "not run" }
    : { what, wanted, value, met: good(value) };

const least = (what: string, bound: number, value: number | undefined): Target =>
  target(what, `>= ${bound}`, value, (v) => v >= bound);
const most = (what: string, bound: number, value: number | undefined): Target =>
  target(what, `<= ${bound}`, value, (v) => v <= bound);
