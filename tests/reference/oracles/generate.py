"""Writes the committed fixtures of tests/model and tests/unit from PyTorch.

    python tests/reference/oracles/generate.py WHAT --model .cache/models/SmolLM2-135M-Instruct.Q4_1.gguf

WHAT: logits, filters, eviction, qk, calibrate, statistics, tiny, endless, heads, policies, whole, reread, mass, or all. `tiny`, `endless`,
`heads`, `policies`, `whole`, `reread`, `mass`, `calibrate` and `statistics` need no model.
Made with torch 2.13, transformers 5.24, gguf 0.19, safetensors 0.8 (pip install "torch==2.13.*"
"transformers==5.24.*" "gguf==0.19.*" accelerate safetensors); one thread, so that sums run in one
order. `npm test` needs none of this.
"""

import argparse
import hashlib
import json
import os
import sys

import torch

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
OUT = os.path.join(ROOT, "tests", "model", "fixtures")
UNIT = os.path.join(ROOT, "tests", "unit", "fixtures")
sys.path.insert(0, HERE)


def write(name, data, folder=OUT):
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as f:
        json.dump(data, f, separators=(",", ":"))
        f.write("\n")
    print(f"{path}: {os.path.getsize(path)} bytes", flush=True)


def provenance():
    import transformers

    from oracle_model import MODEL_SHA256

    versions = {"torch": torch.__version__, "transformers": transformers.__version__}
    return {**versions, "model_sha256": MODEL_SHA256}


def main():
    parser = argparse.ArgumentParser()
    whats = ["logits", "qk", "filters", "eviction", "calibrate", "statistics", "tiny", "endless", "heads"]
    whats += ["policies", "whole", "reread", "mass", "all"]
    parser.add_argument("what", choices=whats)
    gguf = os.path.join(ROOT, ".cache", "models", "SmolLM2-135M-Instruct.Q4_1.gguf")
    parser.add_argument("--model", default=gguf)
    sotu = os.path.join(ROOT, "node_modules", "@stdlib", "datasets-sotu")
    parser.add_argument("--texts", default=sotu, help="folder of .txt files to calibrate on")
    parser.add_argument("--documents", type=int, default=8)
    parser.add_argument("--filters", default=os.path.join(OUT, "filters.safetensors"))
    args = parser.parse_args()
    torch.set_num_threads(1)

    def wanted(name):
        return args.what in (name, "all")

    passage = open(os.path.join(OUT, "passage.txt"), encoding="utf-8").read()

    if wanted("tiny"):
        from oracle_tiny import tiny_fixtures

        tiny_fixtures(ROOT, write)
    if wanted("endless"):
        from oracle_endless import endless_fixtures

        endless_fixtures(ROOT, write)
    if wanted("heads"):
        from oracle_heads import heads_fixture

        heads_fixture(ROOT, write)
    if wanted("policies"):
        from oracle_policies import policies_fixture

        policies_fixture(ROOT, OUT, {"torch": torch.__version__}, write)
    if wanted("whole"):
        from oracle_whole import whole_fixture

        whole_fixture(ROOT, OUT, {"torch": torch.__version__}, write)
    if wanted("reread"):
        from oracle_reread import reread_fixture

        reread_fixture(ROOT, OUT, {"torch": torch.__version__}, write)
    if wanted("mass"):
        from oracle_mass import mass_fixture

        mass_fixture(ROOT, OUT, {"torch": torch.__version__}, write)
    if wanted("calibrate"):
        from oracle_calibrate import calibrate_fixture

        calibrate_fixture(UNIT)
    if wanted("statistics"):
        from oracle_statistics import statistics_fixture

        statistics_fixture(UNIT)
    if not any(wanted(x) for x in ("logits", "filters", "eviction", "qk")):
        return

    from oracle_logits import logits_fixture, prompts, qk_fixture
    from oracle_model import MODEL_SHA256, check, load, load_tokenizer

    with open(args.model, "rb") as f:
        found = hashlib.sha256(f.read()).hexdigest()
    assert found == MODEL_SHA256, f"{args.model} has SHA-256 {found}"
    model, tokenizer = load(args.model), load_tokenizer(args.model)
    sentence = prompts(tokenizer, passage)[2][1]
    difference = check(model, sentence)
    print("written-out forward against transformers, largest difference:", difference, flush=True)
    assert difference < 2e-3

    if wanted("logits"):
        write("logits.json", {**provenance(), **logits_fixture(model, tokenizer, passage)})
    if wanted("qk"):
        write("qk.json", {**provenance(), **qk_fixture(model, sentence)})
    if wanted("filters"):
        from oracle_filters import documents, filters, save

        docs = documents(args.texts, tokenizer, args.documents)
        print("documents:", [os.path.basename(path) for path, _ in docs], flush=True)
        values, shares = filters(model, docs)
        flat = torch.tensor(shares).flatten()
        print("first direction's share: median", flat.median().item(), "min", flat.min().item())
        save(args.filters, values, docs, provenance())
        print(args.filters, tuple(values.shape), flush=True)
    if wanted("eviction"):
        from oracle_eviction import eviction_fixtures

        eviction_fixtures(model, tokenizer(passage)["input_ids"], args.filters, provenance(), write)


if __name__ == "__main__":
    main()
