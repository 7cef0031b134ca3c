import type { Vector } from "../vector.ts";

/** [K, channels], the newest row's first, from a file that has each channel's K taps together, the oldest row's first. */
export const newestFirst = ({ length, read }: Vector, taps: number): Vector => ({
  length,
  async read() {
    const values = await read();
    const channels = length / taps;
    return values.map((_, i) => {
      const [lag, channel] = [Math.floor(i / channels), i % channels];
      return values[channel * taps + taps - 1 - lag]!;
    });
  },
});
