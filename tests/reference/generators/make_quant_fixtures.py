"""Writes tests/unit/fixtures/quant.json: blocks of every tensor type and what the `gguf` package
dequantises them to, and f32 -> f16/bf16 roundings of NumPy and `gguf`; and quant-gguf.bin, a small file
of that package's writer, with what its own reader finds in it; and a file of the safetensors package.

    python tests/reference/generators/make_quant_fixtures.py

Needs numpy, torch, safetensors and gguf (0.19). Deterministic.
"""

import base64
import json
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as T
import torch
from gguf import GGML_QUANT_SIZES, quants
from safetensors.torch import save

OUT = Path(__file__).parents[2] / "unit" / "fixtures" / "quant.json"
rng = np.random.default_rng(20261124)

# Byte offsets of the half-precision fields in a block; random bytes there could be NaN or infinite.
HALVES = {
    "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0],
    "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "F16": [0], "BF16": [], "F32": [],
    "Q2_K": [80, 82], "Q3_K": [108], "IQ4_NL": [0], "IQ4_XS": [0], "MXFP4": [],
}
# Ordinary scales, negative ones, both zeros, the least subnormal, the largest half.
SPECIAL = np.array([0.0, -0.0, 2.0**-24, -(2.0**-24), 65504.0, -65504.0, 1.0, -0.03], dtype=np.float16)


def b64(array: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def random_blocks(name: str, count: int, rng: np.random.Generator = rng) -> np.ndarray:
    _, size = GGML_QUANT_SIZES[T[name]]
    blocks = rng.integers(0, 256, (count, size), dtype=np.uint8)
    for at in HALVES[name]:
        halves = (rng.standard_normal(count) * 10.0 ** rng.integers(-6, 2, count)).astype(np.float16)
        special = rng.integers(0, 2 * len(SPECIAL), count)
        halves = np.where(special < len(SPECIAL), SPECIAL[special % len(SPECIAL)], halves)
        blocks[:, at : at + 2] = halves.astype(np.float16).view(np.uint8).reshape(count, 2)
    if name == "MXFP4":
        blocks[:, 0] %= 251  # the largest exponents make infinite weights
        blocks[:3, 0] = [0, 1, 2]
    return blocks


def case(name: str, data: np.ndarray) -> dict:
    weights = quants.dequantize(data.reshape(1, -1), T[name]).astype(np.float32).ravel()
    assert np.isfinite(weights).all(), name
    return {"type": name, "count": int(weights.size), "bytes": b64(data), "weights": b64(weights)}


cases = []
for name in ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q4_K", "Q5_K", "Q6_K"):
    count = 10 if name.endswith("_K") else 40
    cases.append(case(name, random_blocks(name, count)))
for name in ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "BF16", "F16"):
    values = (rng.standard_normal((1, 320)) * 0.05).astype(np.float32)
    data = quants.quantize(values, T[name])
    cases.append(case(name, data.view(np.uint8)))
cases.append(case("F16", random_blocks("F16", 300)))
cases.append(case("F32", rng.standard_normal(64).astype(np.float32).view(np.uint8)))
# Of a generator of their own, so that the cases before stay as they are.
later = np.random.default_rng(20261130)
for name in ("Q2_K", "Q3_K", "IQ4_NL", "IQ4_XS", "MXFP4"):
    block, _ = GGML_QUANT_SIZES[T[name]]
    cases.append(case(name, random_blocks(name, 2560 // block // (1 if block > 32 else 2), later)))

# Roundings: random over all magnitudes, exact halves, ties between halves, the edges of the range.
every_half = np.arange(0, 65536, 211, dtype=np.uint16).view(np.float16).astype(np.float32)
every_half = every_half[np.isfinite(every_half)]
ties = every_half.view(np.uint32).copy()
ties[: ties.size // 2] += 0x1000
ties[ties.size // 2 :] += 0x1001
wide = (rng.standard_normal(300) * 2.0 ** rng.integers(-30, 18, 300)).astype(np.float32)
edges = np.array(
    [0.0, -0.0, 65504.0, 65519.0, 65519.99, 65520.0, -65520.0, 1e9, 2.0**-24, 2.0**-25, 1.5 * 2.0**-25,
     -(2.0**-25), 2.0**-26, 2.0**-14, 2.0**-14 - 2.0**-25, 1e-40, np.inf, -np.inf, 3.4e38],
    dtype=np.float32,
)
values = np.concatenate([every_half, ties.view(np.float32), wide, edges]).astype(np.float32)
with np.errstate(over="ignore"):
    half = values.astype(np.float16)
padded = np.concatenate([values, np.zeros(-values.size % 4, np.float32)]).reshape(1, -1)
bf16 = quants.quantize(padded, T.BF16).view(np.uint16).ravel()[: values.size]


def write_gguf(path: Path) -> None:
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_custom_alignment(64)
    writer.add_uint8("t.u8", 200)
    writer.add_int8("t.i8", -100)
    writer.add_uint16("t.u16", 60000)
    writer.add_int16("t.i16", -30000)
    writer.add_uint32("t.u32", 4_000_000_000)
    writer.add_int32("t.i32", -2_000_000_000)
    writer.add_uint64("t.u64", 2**40 + 1)
    writer.add_uint64("t.u64.max", 2**64 - 1)
    writer.add_int64("t.i64", -(2**40) - 1)
    writer.add_float32("t.f32", 0.1)
    writer.add_float64("t.f64", 0.1)
    writer.add_bool("t.true", True)
    writer.add_bool("t.false", False)
    writer.add_string("t.string", "\ufeffzażółć 🍂")
    writer.add_array("t.strings", ["", "a", "Ġhello", "日本"])
    writer.add_array("t.ints", [1, -2, 3])
    writer.add_array("t.floats", [0.5, -1.25])
    writer.add_array("t.bools", [True, False, True])
    for index, one in enumerate(cases):
        data = np.frombuffer(base64.b64decode(one["bytes"]), np.uint8)
        kind = T[one["type"]]
        if one["type"] in ("F32", "F16"):
            writer.add_tensor(f"tensor.{index}", data.view(np.float32 if kind == T.F32 else np.float16))
        else:
            writer.add_tensor(f"tensor.{index}", data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def read_gguf(path: Path) -> dict:
    reader = gguf.GGUFReader(path)
    return {
        "dataOffset": int(reader.data_offset),
        "alignment": int(reader.alignment),
        "tensors": [
            {
                "name": t.name,
                "type": t.tensor_type.name,
                "shape": [int(n) for n in t.shape],
                "offset": int(t.data_offset),
                "byteLength": int(t.n_bytes),
            }
            for t in reader.tensors
        ],
    }


def write_safetensors() -> dict:
    wide = torch.from_numpy(rng.standard_normal((2, 3, 4)).astype(np.float32))
    tensors = {
        "q_filters": wide,
        "half": torch.tensor([0.1, -65504.0, 2.0**-24], dtype=torch.float16),
        "brain": torch.tensor([[0.1, -3e38]], dtype=torch.bfloat16),
    }
    values = {
        name: {"shape": list(t.shape), "values": b64(t.to(torch.float32).numpy())}
        for name, t in tensors.items()
    }
    return {"bytes": base64.b64encode(save(tensors, {"made": "by torch"})).decode(), "tensors": values}


write_gguf(OUT.with_name("quant-gguf.bin"))
OUT.write_text(
    json.dumps(
        {
            "comment": "Made by tests/reference/generators/make_quant_fixtures.py; base64 of little-endian bytes.",
            "cases": cases,
            "safetensors": write_safetensors(),
            "gguf": read_gguf(OUT.with_name("quant-gguf.bin")),
            "rounding": {"values": b64(values), "f16": b64(half), "bf16": b64(bf16)},
        },
        indent=1,
    )
    + "\n"
)
print(OUT, OUT.stat().st_size, "bytes,", len(cases), "cases,", values.size, "roundings")
