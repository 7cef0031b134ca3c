"""whole-tiny.json: the runs of oracle_policies with the first layer kept whole, of a policy of each kind.

The budget is that of the other layers, and where heads have budgets of their own it is divided among those alone.
The calibration is policies-tiny.safetensors as it lies there.
"""

import os

from safetensors.torch import load_file

from oracle_model import Llama
from oracle_policies import DECODED, PROMPT, SECOND, heads_of, sequence, simulate, tiny_model

POLICIES = ["winnow", "q-filters", "keydiff", "snapkv", "h2o"]
RUN = {"budget": 64, "window": 16, "sinks": 4, "whole": 1}


def whole_fixture(root, folder, provenance, write):
    model = tiny_model(root)
    vocab = model.config.vocab_size
    ids = sequence(vocab, PROMPT + DECODED, 1)
    second = sequence(vocab, SECOND, 4)
    llama = Llama(model)
    heads = heads_of(llama, load_file(os.path.join(folder, "policies-tiny.safetensors")))
    runs = [simulate(llama, policy, RUN, heads, ids + second) for policy in POLICIES]
    common = {"tokens": ids, "second": second, "prompt": PROMPT}
    write("whole-tiny.json", {**provenance, **common, "runs": runs})
