"""The q4 ONNX graph that transformers.js runs in `npm run bench`, from the same weights as the GGUF.

    python -m venv venv && venv/bin/pip install torch transformers gguf onnx onnx-ir onnxruntime-genai
    venv/bin/python tests/bench/make-onnx.py --gguf .cache/models/SmolLM2-135M-Instruct.Q4_1.gguf

Two steps: transformers dequantises the GGUF to an ordinary model folder, and onnxruntime-genai's model builder,
which makes the graphs that are published for transformers.js, quantises it again to 4 bits in blocks of 32
(MatMulNBits, GroupQueryAttention). Activations are f32: adapters without shader-f16 cannot run the f16 graph.
The head runs on the last row alone, and embedding and head share one matrix: both are to transformers.js's
advantage. Made with onnxruntime-genai 0.18.0, onnx 1.23.2, transformers 5.24.0, torch 2.13.
"""

import argparse
import json
import shutil
import tempfile
from pathlib import Path

DEFAULT_GGUF = ".cache/models/SmolLM2-135M-Instruct.Q4_1.gguf"
DEFAULT_OUT = ".cache/bench/onnx"
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


def dequantize(gguf: Path, folder: Path) -> None:
    """Writes the GGUF's weights, config and tokenizer as a model folder of f32 safetensors."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
    model = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32)
    # The tied head is left out of the file, as in the published model.
    model.config.tie_word_embeddings = True
    model.tie_weights()
    # The weights are plain f32 by now: without this transformers refuses to write them.
    model.hf_quantizer = None
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(**source).save_pretrained(folder)


def build(folder: Path, out: Path, cache: Path) -> None:
    from onnxruntime_genai.models.builder import create_model, parse_extra_options

    target = (None, str(folder), str(out), "int4", "webgpu", str(cache))
    options = ["use_webgpu_fp32=true", "block_size=32", "shared_embeddings=true", "prune_lm_head=true"]
    create_model(*target, **parse_extra_options(*target, options))


def name_head_dimension(graph, head_dim: int) -> None:
    """The builder leaves the width of keys and values open ("kv_cache_dim"), which transformers.js takes for 0."""
    for value in [*graph.input, *graph.output]:
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param == "kv_cache_dim":
                dim.dim_value = head_dim


def arrange(built: Path, folder: Path, out: Path) -> None:
    """Moves the files to where transformers.js looks for them: onnx/model_q4.onnx and its data beside it."""
    import onnx

    (out / "onnx").mkdir(parents=True, exist_ok=True)
    config = json.loads((folder / "config.json").read_text())
    model = onnx.load(str(built / "model.onnx"))
    name_head_dimension(model.graph, config["head_dim"])
    data = "model_q4.onnx_data"
    (out / "onnx" / data).unlink(missing_ok=True)
    onnx.save_model(
        model,
        str(out / "onnx" / "model_q4.onnx"),
        save_as_external_data=True,
        all_tensors_to_one_file=True,
        location=data,
    )
    config["transformers.js_config"] = {"use_external_data_format": {"model_q4.onnx": 1}}
    (out / "config.json").write_text(json.dumps(config, indent=1))
    for name in ("generation_config.json", *TOKENIZER_FILES):
        if (folder / name).exists():
            shutil.copy(folder / name, out / name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--gguf", default=DEFAULT_GGUF)
    parser.add_argument("--out", default=DEFAULT_OUT)
    options = parser.parse_args()
    gguf, out = Path(options.gguf), Path(options.out)
    with tempfile.TemporaryDirectory() as temporary:
        folder, built = Path(temporary) / "hf", Path(temporary) / "built"
        dequantize(gguf, folder)
        build(folder, built, Path(temporary) / "cache")
        arrange(built, folder, out)
    for file in sorted(out.rglob("*")):
        if file.is_file():
            print(f"{file.stat().st_size:>12} {file.relative_to(out)}")


if __name__ == "__main__":
    main()
