#!/usr/bin/env python3
"""Writes testdata/beams.json: what transformers' beam search makes of checkpoints of testdata/checkpoints.

    pip install torch==2.15.0 transformers==5.24.0
    python testdata/scripts/make_beams.py

Computed in float32 with eager attention. Outputs of these models, whose weights are random, hardly ever end by themselves, so tokens that beams have without
an end are the ends of the other cases. A case is recorded if float64 gives the same outputs: near ties are left out.
"""

import itertools
import json
import pathlib

import torch
from transformers import AutoModelForCausalLM

ROOT = pathlib.Path(__file__).resolve().parents[2] / "testdata"
STEPS = 10


def search(model, ids, width, penalty, stopping, ends, steps=STEPS):
    """Returns the outputs without what fills them up behind their end, and their scores."""
    given = torch.tensor([ids])
    out = model.generate(
        given, attention_mask=torch.ones_like(given), num_beams=width, num_return_sequences=width, do_sample=False, max_new_tokens=steps,
        length_penalty=penalty, early_stopping=stopping, eos_token_id=ends, pad_token_id=0, return_dict_in_generate=True, output_scores=True,
        repetition_penalty=1.0, temperature=None, top_p=None, top_k=None)
    outputs = []
    for row in out.sequences[:, len(ids):].tolist():
        end = next((i for i, token in enumerate(row) if token in ends), len(row) - 1)
        outputs.append(row[: end + 1])
    return outputs, out.sequences_scores.tolist()


def main():
    cases = []
    for name in ("qwen3-v5", "mistral-v5"):
        dir = ROOT / "checkpoints" / name
        golden = json.loads((dir / "golden.json").read_text())
        models = {t: AutoModelForCausalLM.from_pretrained(dir, dtype=t, attn_implementation="eager").eval() for t in (torch.float32, torch.float64)}
        vocab = models[torch.float32].config.vocab_size
        for prompt in golden["prompts"][1:3]:
            ids = prompt["ids"]
            free, _ = search(models[torch.float32], ids, 4, 1.0, False, [vocab - 1])
            common = [free[0][2], free[1][5], free[3][4]]
            for width, (penalty, stopping), ends in itertools.product(
                    (1, 3, 8), ((1.0, False), (1.0, True), (2.0, "never"), (0.0, False), (-1.0, True), (0.5, "never")), ([common[0]], sorted(set(common)))):
                if width == 1:
                    continue  # transformers calls that greedy
                (outputs, scores), (again, _) = (search(models[t], ids, width, penalty, stopping, ends) for t in models)
                if outputs == again and min(a - b for a, b in zip(scores, scores[1:])) > 1e-5:
                    cases.append({"model": name, "ids": ids, "width": width, "length_penalty": penalty, "early_stopping": stopping, "ends": ends,
                                  "max_tokens": STEPS, "outputs": outputs, "scores": [round(s, 6) for s in scores]})
    text = ",\n".join(json.dumps(c) for c in cases)
    (ROOT / "beams.json").write_text(f"[\n{text}\n]\n")
    print(len(cases), "cases")


if __name__ == "__main__":
    with torch.no_grad():
        main()
