"""Writes processors.json: what transformers' logits processors make of some logits.

    python processors.py > processors.json

Each case has raw logits, the tokens seen so far, the options under the names of engine.Sampling, the probabilities of all tokens after
all processors, and the log-probabilities of the raw logits.
"""

import json
import random

import torch
import transformers
from transformers.generation import logits_process as lp

VOCAB = 60

CASES = [
    dict(Temperature=1.0),
    dict(Temperature=0.5),
    dict(Temperature=1.8, TopK=5),
    dict(Temperature=0.9, TopP=0.7),
    dict(Temperature=1.0, TopP=0.05),
    dict(Temperature=1.0, MinP=0.1),
    dict(Temperature=0.7, TopK=20, TopP=0.8),
    dict(Temperature=1.5, TopK=30, TopP=0.9, MinP=0.05),
    dict(Temperature=1.0, RepetitionPenalty=1.3),
    dict(Temperature=0.8, RepetitionPenalty=0.6, TopP=0.85),
    dict(Temperature=1.0, Bias={"3": 4.0, "17": -6.5, "40": 1.25}),
    dict(Temperature=1.0, Banned=[0, 5, 31, 32], TopK=10),
    dict(Temperature=1.1, Bias={"9": 2.5}, Banned=[4], RepetitionPenalty=1.15, TopK=25, TopP=0.95, MinP=0.02),
]


def processors(options):
    chain = lp.LogitsProcessorList()
    if "Bias" in options:
        chain.append(lp.SequenceBiasLogitsProcessor([[[int(k)], v] for k, v in options["Bias"].items()]))
    if "Banned" in options:
        chain.append(lp.SuppressTokensLogitsProcessor(options["Banned"]))
    if "RepetitionPenalty" in options:
        chain.append(lp.RepetitionPenaltyLogitsProcessor(options["RepetitionPenalty"]))
    chain.append(lp.TemperatureLogitsWarper(options["Temperature"]))
    if "TopK" in options:
        chain.append(lp.TopKLogitsWarper(options["TopK"]))
    if "TopP" in options:
        chain.append(lp.TopPLogitsWarper(options["TopP"]))
    if "MinP" in options:
        chain.append(lp.MinPLogitsWarper(options["MinP"]))
    return chain


def main():
    rng = random.Random(7)
    cases = []
    for options in CASES:
        logits = [round(rng.gauss(0, 3), 3) for _ in range(VOCAB)]
        seen = [rng.randrange(VOCAB) for _ in range(12)]
        scores = torch.tensor([logits])
        out = processors(options)(torch.tensor([seen]), scores.clone())
        cases.append(
            dict(
                options=options,
                logits=logits,
                seen=seen,
                probs=[float(f"{p:.6g}") for p in out.softmax(-1)[0].tolist()],
                logprobs=[float(f"{p:.6g}") for p in scores.log_softmax(-1)[0].tolist()],
            )
        )
    print(json.dumps(dict(transformers=transformers.__version__, cases=cases), separators=(",", ":")).replace('{"options"', '\n{"options"'))


main()
