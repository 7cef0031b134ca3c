"""q8 pages by NumPy: vectors, their scales and codes, for tests/unit/kernels/page-vectors.test.ts and tests/kernels.

    python tests/reference/generators/make_page_fixtures.py

The definition, in f32: scale = max|x| * (1/127), rounded up to bfloat16 (0 where max|x| <= 2^-100);
code = x * (1/scale), rounded to nearest, ties to even, within +-127; read back as scale * code.
"""

import json
from pathlib import Path

import numpy as np

OUT = Path(__file__).parents[2] / "kernels" / "fixtures" / "pages-q8.json"
f32 = np.float32


def scale_of(x: np.ndarray) -> np.float32:
    most = np.abs(x).max()
    if most <= f32(2.0**-100):
        return f32(0)
    exact = np.array([most * (f32(1) / f32(127))], f32)
    bits = (exact.view(np.uint32).astype(np.uint64) + 0xFFFF) & 0xFFFF0000
    return bits.astype(np.uint32).view(f32)[0]


def codes_of(x: np.ndarray, scale: np.float32) -> np.ndarray:
    if scale == 0:
        return np.zeros(len(x), np.int8)
    return np.clip(np.rint(x * (f32(1) / scale)), -127, 127).astype(np.int8)


def vectors(dim: int = 64) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(8)
    normal = rng.standard_normal(dim).astype(f32)
    ties = np.arange(dim, dtype=f32) - f32(dim / 2) + f32(0.5)
    ties[0] = 127  # the scale is exactly 1
    outlier = normal.copy()
    outlier[5] = 300
    return {
        "normal": normal,
        "ties to even": ties,
        "one outlier": outlier,
        "zeros": np.zeros(dim, f32),
        "a single value": np.eye(1, dim, 7, dtype=f32)[0] * f32(-3),
        "beyond f16": normal * f32(1e30),
        "below f16": normal * f32(1e-20),
        "below 2^-100": normal * f32(2.0**-110),
        "equal values": np.full(dim, 0.1, f32),
    }


def main() -> None:
    cases = []
    for name, x in vectors().items():
        scale = scale_of(x)
        codes = codes_of(x, scale)
        step = np.abs(x.astype(np.float64) - np.float64(scale) * codes)
        assert scale == 0 or step.max() <= 0.5001 * scale, name
        cases.append(
            {
                "name": name,
                "x": [float(v) for v in x],
                "scale": float(scale),
                "codes": codes.tolist(),
            }
        )
    OUT.write_text(json.dumps(cases, indent=1) + "\n")


if __name__ == "__main__":
    main()
