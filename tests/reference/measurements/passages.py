"""What policies cost over several passages, out of the files of streams.py --kl: python tests/reference/measurements/passages.py FILE.json...

For each run the perplexity as a ratio to the uncompressed run and the mean KL of the next token, over the passages' second halves too; the middle of the
passages, and a 95 % interval of the mean by drawing passages anew 10,000 times. "beside" is the ratio to the run named by --beside, passage by passage.
"""

import argparse
import json

import numpy as np


def interval(values):
    draws = np.random.default_rng(0).integers(0, len(values), (10_000, len(values)))
    low, high = np.quantile(values[draws].mean(1), [0.025, 0.975])
    return f"{values.mean():.4f} ({low:.4f} to {high:.4f}), middle {np.median(values):.4f}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("files", nargs="+")
    parser.add_argument("--beside", default="streaming-llm")
    args = parser.parse_args()
    found = [json.load(open(file, encoding="utf-8")) for file in args.files]
    runs = found[0]["runs"]
    loss = np.array([np.log(one["perplexity"]) for one in found])  # [passages, runs, bins]
    free = np.array([np.log(one["uncompressed"]) for one in found])  # [passages, bins]
    kl = np.array([one["kl"] for one in found])
    beside = next(i for i, run in enumerate(runs) if run.startswith(args.beside))
    half = loss.shape[2] // 2
    for name, bins in (("whole passages", slice(None)), ("second halves", slice(half, None))):
        print(f"{name}, {len(found)} passages")
        mean = loss[:, :, bins].mean(-1)
        for i, run in enumerate(runs):
            ratio = np.exp(mean[:, i] - free[:, bins].mean(-1))
            ahead = int((mean[:, i] < mean[:, beside]).sum())
            print(f"  {run}: ratio {interval(ratio)}; KL {kl[:, i, bins].mean():.4f}; beside {interval(np.exp(mean[:, i] - mean[:, beside]))}, ahead in {ahead}")


if __name__ == "__main__":
    main()
