import { armText } from "../types.ts";
import { aheadIn, type StreamSet } from "./streams.ts";

const whole = (value: number): string => value.toLocaleString("en-US");

export const streamTitle = ({ tokens, n, budget }: StreamSet): string =>
  `stream: perplexity by position, ${budget} pairs per head, ${n} ${n === 1 ? "stream" : "streams"} of ${whole(tokens)} tokens`;

export const streamHead = ({ arms }: StreamSet): string[] => [
  "position",
  ...arms.map(({ arm }) => armText({ ...arm, budget: "full" })),
  "uncompressed",
  "ahead",
];

/** A row for each bin, one for all positions, and what each loses as a share of what StreamingLLM loses. */
export function streamRows(set: StreamSet): string[][] {
  const { arms, full, ranges } = set;
  const perplexity = (loss: number, free: number | undefined): string =>
    Math.exp(loss).toFixed(2) +
    (free === undefined ? "" : ` (x ${Math.exp(loss - free).toFixed(3)})`);
  const free = (loss: number | undefined): string =>
    loss === undefined ? "-" : Math.exp(loss).toFixed(2);
  const bins = ranges.map(([from, to], i) => {
    const ahead = aheadIn(set, i);
    return [
      `${whole(from)} to ${whole(to - 1)}`,
      ...arms.map(({ bins }) => perplexity(bins[i]!, full?.bins[i])),
      free(full?.bins[i]),
      ahead ? armText({ ...ahead.arm, budget: "full" }) : "-",
    ];
  });
  const led = (index: number): number =>
    ranges.filter((_, i) => aheadIn(set, i) === arms[index]).length;
  return [
    ...bins,
    ["all", ...arms.map(({ all }) => perplexity(all, full?.all)), free(full?.all), "-"],
    ["bins ahead", ...arms.map((_, i) => `${led(i)} of ${ranges.length}`), "-", "-"],
    [
      "loss, as a share of StreamingLLM's",
      ...arms.map(({ share }) => (share === undefined ? "-" : `${(100 * share).toFixed(1)} %`)),
      "-",
      "-",
    ],
  ];
}
