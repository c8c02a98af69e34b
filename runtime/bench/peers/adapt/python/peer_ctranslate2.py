"""CTranslate2: Generator.generate_batch, which takes tokens as text."""
import json
import os
import time

import ctranslate2

from adaptor import main


def load(request):
    generator = ctranslate2.Generator(
        request["model"], device="cpu", compute_type=request["variant"], inter_threads=1, intra_threads=request["threads"]
    )
    with open(os.path.join(request["checkpoint"], "tokenizer.json")) as f:
        return generator, {number: token for token, number in json.load(f)["model"]["vocab"].items()}


def open_model(request):
    generator, text = load(request)

    def generate(prompts, tokens):
        inputs = [[text[i] for i in p] for p in prompts]
        firsts = []

        def made(result):
            if result.step == 0:
                firsts.append(time.time())
            return False

        began = time.time()
        results = generator.generate_batch(
            inputs, max_length=tokens, min_length=tokens, sampling_topk=1, beam_size=1, include_prompt_in_result=False, callback=made
        )
        took = time.time() - began
        assert all(len(r.sequences_ids[0]) == tokens for r in results)
        assert len(firsts) == len(prompts)
        return firsts[-1] - began, began + took - firsts[-1]

    return generate


def open_scorer(request):
    generator, text = load(request)
    return lambda ids, first: generator.score_batch([[text[i] for i in ids]])[0].log_probs[first - 1 :]


if __name__ == "__main__":
    main(open_model, open_scorer)
