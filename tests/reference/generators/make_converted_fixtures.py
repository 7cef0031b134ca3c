"""tests/model/fixtures/converted-*: tiny checkpoints of transformers, made GGUF by llama.cpp's own converter.

    python tests/reference/generators/make_converted_fixtures.py --llama-cpp FOLDER

FOLDER holds convert_hf_to_gguf.py with its `conversion` and `gguf-py` (a checkout of llama.cpp, or `vendor/llama.cpp` of
llama-cpp-python's sources). converted-NAME.gguf is what it writes, in f16; converted-NAME.json has a prompt and PyTorch's greedy
continuation on the same weights, with the margin between the best two tokens of each step. The vocabulary is ASCII, so that
texts can be compared. A seed is taken for which every margin is clear.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import Gemma4ForCausalLM, Gemma4TextConfig, GemmaTokenizer, GraniteConfig, GraniteForCausalLM
from transformers import Lfm2Config, Lfm2ForCausalLM, Ministral3Config, Ministral3ForCausalLM
from transformers import Phi3Config, Phi3ForCausalLM, PreTrainedTokenizerFast, Qwen3_5ForCausalLM, Qwen3_5TextConfig

HERE = os.path.dirname(os.path.abspath(__file__))
OUT = os.path.join(HERE, "..", "..", "model", "fixtures")
SPECIAL = ["<|pad|>", "<|startoftext|>", "<|im_end|>", "<|im_start|>"]
MERGES = "t h,th e,i n,a n,Ġ the,e r,o n,r e,Ġ a,Ġ t,an d,in g,Ġ c,o u,s t,e n".split(",")
TEXT = "the state of a layer is small, and the rest of it is read again."
TOKENS = 64
CLEAR = 0.06


def tokenizer(folder):
    letters = ["Ġ", "Ċ"] + [chr(c) for c in range(33, 127)]
    tokens = SPECIAL + letters + [merge.replace(" ", "") for merge in MERGES]
    merges = [tuple(merge.split(" ")) for merge in MERGES]
    raw = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=merges))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    raw.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=raw, bos_token=SPECIAL[1], eos_token=SPECIAL[2], pad_token=SPECIAL[0]
    )
    fast.save_pretrained(folder)
    return fast, len(tokens)


def gemma4_tokenizer(folder):
    """Characters, spaces as U+2581, and bytes."""
    special = ["<pad>", "<eos>", "<bos>", "<unk>"]
    letters = ["▁", "\n"] + [chr(c) for c in range(33, 127)]
    merges = [tuple(merge.replace("Ġ", "▁").split(" ")) for merge in MERGES]
    tokens = [*special, *(f"<0x{byte:02X}>" for byte in range(256)), *letters, *("".join(merge) for merge in merges)]
    fast = GemmaTokenizer(vocab={token: i for i, token in enumerate(tokens)}, merges=merges, mask_token="<unk>")
    fast.save_pretrained(folder)
    return fast, len(tokens)


def gemma4(vocab):
    """Two layers of each kind; the last three borrow keys and values, and have an MLP of twice the width."""
    return Gemma4ForCausalLM._from_config(
        Gemma4TextConfig(
            vocab_size=vocab, vocab_size_per_layer_input=vocab, hidden_size=64, intermediate_size=64, num_hidden_layers=7,
            num_attention_heads=4, num_key_value_heads=2, head_dim=16, global_head_dim=32, hidden_size_per_layer_input=16,
            num_kv_shared_layers=3, use_double_wide_mlp=True, sliding_window=24, final_logit_softcapping=30.0, max_position_embeddings=4096,
            layer_types=["sliding_attention", "full_attention"] * 2 + ["sliding_attention"] * 2 + ["full_attention"],
            pad_token_id=0, bos_token_id=2, eos_token_id=1,
        ),
        attn_implementation="eager",
        dtype=torch.float32,
    ).eval()


def lfm2(vocab):
    return Lfm2ForCausalLM._from_config(
        Lfm2Config(
            vocab_size=vocab, hidden_size=64, intermediate_size=96, num_hidden_layers=4, num_attention_heads=4,
            num_key_value_heads=2, max_position_embeddings=4096, block_auto_adjust_ff_dim=False,
            layer_types=["conv", "full_attention", "conv", "full_attention"], pad_token_id=0, bos_token_id=1, eos_token_id=2,
        ),
        attn_implementation="eager",
        dtype=torch.float32,
    ).eval()


SMALL = {
    "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2,
    "max_position_embeddings": 4096, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}


def granite(vocab):
    return GraniteForCausalLM._from_config(
        GraniteConfig(
            **SMALL, vocab_size=vocab, embedding_multiplier=1.5, residual_multiplier=0.6, attention_multiplier=0.2,
            logits_scaling=0.5, tie_word_embeddings=True,
        ),
        attn_implementation="eager",
        dtype=torch.float32,
    ).eval()


def phi3(vocab):
    """The prompt is longer than the first context, so that every program takes LongRoPE's long factors."""
    factors = lambda most: [most ** (i / 5) for i in range(6)]
    return Phi3ForCausalLM._from_config(
        Phi3Config(
            **SMALL, vocab_size=vocab, tie_word_embeddings=True, original_max_position_embeddings=32,
            rope_parameters={
                "rope_type": "longrope", "rope_theta": 10000.0, "partial_rotary_factor": 0.75, "long_factor": factors(8.0),
                "short_factor": factors(1.25), "original_max_position_embeddings": 32,
            },
        ),
        attn_implementation="eager",
        dtype=torch.float32,
    ).eval()


def mistral3(vocab):
    """The first context is longer than the text: beyond it a factor of the position would come in."""
    return Ministral3ForCausalLM._from_config(
        Ministral3Config(
            **SMALL, vocab_size=vocab, head_dim=32, tie_word_embeddings=True,
            rope_parameters={
                "rope_type": "yarn", "rope_theta": 10000.0, "factor": 16.0, "original_max_position_embeddings": 256, "beta_fast": 16.0,
                "beta_slow": 1.0, "mscale": 1.0, "mscale_all_dim": 1.0, "llama_4_scaling_beta": 0.1,
            },
        ),
        attn_implementation="eager",
        dtype=torch.float32,
    ).eval()


def qwen35(vocab):
    """Two value heads per key head, which the converter puts in another order."""
    return Qwen3_5ForCausalLM._from_config(
        Qwen3_5TextConfig(
            vocab_size=vocab, hidden_size=64, intermediate_size=96, num_hidden_layers=4, num_attention_heads=4,
            num_key_value_heads=2, head_dim=32, max_position_embeddings=4096, tie_word_embeddings=True, linear_key_head_dim=16,
            linear_value_head_dim=16, linear_num_key_heads=2, linear_num_value_heads=4, full_attention_interval=4,
            rope_parameters={"rope_type": "default", "rope_theta": 1e7, "partial_rotary_factor": 0.25, "mrope_section": [2, 1, 1]},
            pad_token_id=0, bos_token_id=1, eos_token_id=2,
        ),
        attn_implementation="eager",
        dtype=torch.float32,
    ).eval()


#: Name of the fixture -> what makes the model, its converter's name for the vocabulary's kind.
MODELS = {
    "lfm2": (lfm2, "lfm2"), "granite": (granite, "dbrx"), "phi3": (phi3, "gpt-4o"), "qwen35": (qwen35, "qwen35"),
    "gemma4": (gemma4, "gemma4"), "mistral3": (mistral3, "tekken"),
}


def reserved(model):
    """How many tokens come before those of text: control tokens, and Gemma's bytes."""
    return len(SPECIAL) + (256 if isinstance(model, Gemma4ForCausalLM) else 0)


def randomise(model, seed):
    """Weights as f16 holds them, wide enough that tokens are told apart; no special token is ever the best."""
    random = torch.Generator().manual_seed(seed)
    for name, weight in model.named_parameters():
        norm = weight.ndim == 1
        # Norms of Qwen3.5 multiply by 1 + w, but for that of what DeltaNet reads; its decays are no norms either.
        about = 0 if isinstance(model, Qwen3_5ForCausalLM) and not name.endswith("linear_attn.norm.weight") else 1
        # A last norm that is wide sets tokens apart: few seeds of these models have 64 clear margins otherwise.
        about += 3 if isinstance(model, Qwen3_5ForCausalLM | Gemma4ForCausalLM) and name == "model.norm.weight" else 0
        # Gemma 4's attention does not divide by the square root of D: its norms do.
        if isinstance(model, Gemma4ForCausalLM) and name.endswith(("self_attn.q_norm.weight", "self_attn.k_norm.weight")):
            about = 0.4
        scale = 0.2 if norm else 0.7 if "conv.conv" in name or "conv1d" in name else 1.4 / weight.shape[-1] ** 0.5
        values = torch.randn(weight.shape, generator=random) * scale + (about if norm else 0)
        weight.data = values.half().float()
    model.get_input_embeddings().weight.data[: reserved(model)] = 0
    for name, factor in model.named_buffers():
        if name.endswith("layer_scalar"):
            factor.copy_((0.75 + 0.5 * torch.rand(1, generator=random)).half().float())


@torch.no_grad()
def greedy(model, ids):
    tokens, margins = list(ids), []
    for _ in range(TOKENS):
        best = model(torch.tensor([tokens])).logits[0, -1].topk(2)
        margins.append(round((best.values[0] - best.values[1]).item(), 5))
        if margins[-1] <= CLEAR:
            break
        tokens.append(best.indices[0].item())
    return tokens[len(ids) :], margins


def convert(llama_cpp, folder, out, pre):
    """The converter as it is; that the vocabulary is of the kind `pre`, it knows for those of real models alone."""
    patch = f"from conversion.base import TextModel; TextModel.get_vocab_base_pre = lambda *_: {pre!r}"
    run = f"import runpy, sys; sys.path.insert(0, {llama_cpp!r}); sys.path.insert(1, {os.path.join(llama_cpp, 'gguf-py')!r}); {patch}"
    script = os.path.join(llama_cpp, "convert_hf_to_gguf.py")
    args = [script, folder, "--outtype", "f16", "--outfile", out, "--model-name", "converted"]
    # A checkpoint of transformers has no layers that guess tokens ahead.
    args += ["--no-mtp"] if pre == "qwen35" else []
    run += f"; sys.argv = {args!r}; runpy.run_path({script!r}, run_name='__main__')"
    subprocess.run([sys.executable, "-c", run], check=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--llama-cpp", required=True)
    parser.add_argument("--models", nargs="*", default=[*MODELS], help="default: all")
    parser.add_argument("--seed", type=int, default=0, help="the first seed to try")
    args = parser.parse_args()
    torch.set_num_threads(1)
    for name in args.models:
        make, pre = MODELS[name]
        with tempfile.TemporaryDirectory() as folder:
            fast, vocab = (gemma4_tokenizer if name == "gemma4" else tokenizer)(folder)
            model = make(vocab)
            ids = [fast.bos_token_id, *fast(TEXT, add_special_tokens=False)["input_ids"]]
            for seed in range(args.seed, args.seed + 1000):
                randomise(model, seed)
                tokens, margins = greedy(model, ids)
                if min(margins) > CLEAR and len(set(tokens)) > 12 and min(tokens) >= reserved(model):
                    break
            else:
                raise SystemExit(f"{name}: no seed is clear")
            model.save_pretrained(folder)
            told = os.path.join(folder, "tokenizer_config.json")
            config = json.load(open(told, encoding="utf-8"))
            # Where a family has vocabularies of several kinds, the converter asks which; llama.cpp, whether a text begins with BOS.
            kind = {"tokenizer_class": "GPT2Tokenizer"} if name in ("granite", "phi3") else {}
            json.dump({**config, **kind, "add_bos_token": True}, open(told, "w", encoding="utf-8"))
            # The checkpoint's own words, which safetensors are read by.
            checkpoint = {"config": json.load(open(os.path.join(folder, "config.json"), encoding="utf-8")), "names": sorted(model.state_dict())}
            out = os.path.join(OUT, f"converted-{name}.gguf")
            convert(os.path.abspath(args.llama_cpp), folder, out, pre)
        sha256 = hashlib.sha256(open(out, "rb").read()).hexdigest()
        fixture = {
            "gguf_sha256": sha256, "text": TEXT, "prompt": ids, "answer": fast.decode(tokens),
            "tokens": tokens, "margins": margins, "checkpoint": checkpoint,
        }
        with open(os.path.join(OUT, f"converted-{name}.json"), "w", encoding="utf-8") as f:
            json.dump(fixture, f, separators=(",", ":"))
            f.write("\n")
        print(name, "seed", seed, "least margin", min(margins), os.path.getsize(out), "bytes", repr(fixture["answer"]))


main()
