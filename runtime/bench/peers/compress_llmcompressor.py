"""Quantizes the products of a checkpoint to int4 by llm-compressor (the reference implementations of GPTQ and AWQ that vLLM's users have), in groups of 32 with scales of 16 bits, and scores a text
with it by transformers, in f32, as the others do: windows of 512 tokens, of which the second half counts. The embedding, which is the head too, stays as it is.

    python compress_llmcompressor.py MODEL gptq --calib calib.txt --text eval.txt --windows 16 --threads 1

Prints JSON: bits per weight, perplexity, the processor seconds of the quantization and the largest resident size.
"""

import argparse
import json
import math
import pathlib
import resource
import time

import torch
from datasets import Dataset
from llmcompressor import oneshot
from llmcompressor.modifiers.quantization import GPTQModifier, QuantizationModifier
from llmcompressor.modifiers.transform.awq import AWQModifier
from transformers import AutoModelForCausalLM, AutoTokenizer

WINDOW, GROUP = 512, 32
# what makes codes, and what comes before it
METHODS = {"rounded": (QuantizationModifier, []), "gptq": (GPTQModifier, []), "awq": (QuantizationModifier, [AWQModifier])}


def windows(tokenizer, file):
    ids = tokenizer(file.read_text())["input_ids"]
    return [ids[at : at + WINDOW] for at in range(0, len(ids) - WINDOW + 1, WINDOW)]


def quantize(model, method, samples):
    weights = {"num_bits": 4, "type": "int", "symmetric": True, "strategy": "group", "group_size": GROUP}
    codes, before = METHODS[method]
    recipe = [m() for m in before] + [codes(config_groups={"products": {"targets": ["Linear"], "weights": weights}}, ignore=["lm_head"])]
    began = time.process_time()
    if method == "rounded":
        oneshot(model=model, recipe=recipe)
    else:
        data = Dataset.from_list([{"input_ids": ids, "attention_mask": [1] * WINDOW} for ids in samples])
        oneshot(model=model, recipe=recipe, dataset=data, max_seq_length=WINDOW, num_calibration_samples=len(samples))
    return time.process_time() - began


def bits_per_weight(model):
    coded = {id(m.weight) for name, m in model.named_modules() if isinstance(m, torch.nn.Linear) and name != "lm_head"}
    sizes = [(p.numel(), 4 + 16 / GROUP if id(p) in coded else 16) for p in model.parameters() if p.dim() > 1]
    return sum(n * bits for n, bits in sizes) / sum(n for n, _ in sizes)


@torch.no_grad()
def perplexity(model, scored):
    loss = 0
    for ids in scored:
        tokens = torch.tensor([ids])
        half = len(ids) // 2
        of = model(tokens).logits[0, half - 1 : -1].float().log_softmax(-1)
        loss -= of.gather(1, tokens[0, half:, None]).sum().item()
    return math.exp(loss / sum(len(ids) - len(ids) // 2 for ids in scored))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model", type=pathlib.Path)
    p.add_argument("method", choices=list(METHODS))
    for name in ("--calib", "--text"):
        p.add_argument(name, type=pathlib.Path, required=True)
    p.add_argument("--samples", type=int, default=36)
    p.add_argument("--windows", type=int, default=64)
    p.add_argument("--threads", type=int, default=2)
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    if not torch.cuda.is_available():
        torch.Tensor.pin_memory = lambda self, *_: self  # awq asks for it whatever there is
    tokenizer = AutoTokenizer.from_pretrained(a.model)
    model = AutoModelForCausalLM.from_pretrained(a.model, dtype=torch.float32)
    bits = bits_per_weight(model)
    given = windows(tokenizer, a.calib)
    n = min(a.samples, len(given))
    seconds = quantize(model, a.method, [given[i * len(given) // n] for i in range(n)])
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"bits": bits, "ppl": perplexity(model, windows(tokenizer, a.text)[: a.windows]), "seconds": seconds, "bytes": most}))


if __name__ == "__main__":
    main()
