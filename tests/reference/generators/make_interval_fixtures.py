"""Intervals by scipy, and quantiles by PyTorch, for tests/unit/eval/eval-statistics.test.ts.

python tests/reference/generators/make_interval_fixtures.py   (numpy, scipy, torch)
"""

import json
from pathlib import Path

import numpy as np
import torch
from scipy import stats

random = np.random.default_rng(7)
out = {"student_quantile": [], "wilson": [], "student": [], "bootstrap": [], "quantile": []}
for freedom in [1, 2, 3, 4, 7, 19, 60, 999]:
    out["student_quantile"].append([freedom, stats.t.ppf(0.975, freedom)])
for hits, n in [(0, 1), (1, 1), (0, 10), (3, 10), (10, 10), (17, 20), (250, 500)]:
    low, high = stats.binomtest(hits, n).proportion_ci(0.95, method="wilson")
    out["wilson"].append([hits, n, low, high])
for n in [2, 4, 12]:
    values = random.normal(0.3, 0.2, n).round(6)
    low, high = stats.t.interval(0.95, n - 1, values.mean(), stats.sem(values))
    out["student"].append([values.tolist(), low, high])
for n in [5, 20]:
    values = random.integers(0, 5, n) / 4
    found = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=200_000, random_state=1)
    low, high = found.confidence_interval
    out["bootstrap"].append([values.tolist(), low, high])
for n, share in [(1, 0.99), (5, 0.99), (5, 0.5), (120, 0.99), (101, 0.99), (40, 0.025)]:
    values = torch.from_numpy(random.exponential(0.01, n).round(6))
    out["quantile"].append([values.tolist(), share, values.quantile(share).item()])
path = Path(__file__).parents[2] / "unit/fixtures/intervals.json"
path.write_text(json.dumps(out) + "\n")
