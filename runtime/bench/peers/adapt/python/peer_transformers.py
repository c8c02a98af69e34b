"""transformers and torch: greedy generation over the cache that it takes by itself."""
import time

import torch
from transformers import AutoModelForCausalLM

from adaptor import log_probabilities, main


def load(request):
    torch.set_num_threads(request["threads"])
    return AutoModelForCausalLM.from_pretrained(request["model"], dtype=getattr(torch, request["variant"])).eval()


def open_model(request):
    model = load(request)

    def generate(prompts, tokens):
        ids = torch.tensor(prompts)
        began = time.time()
        with torch.inference_mode():
            out = model.generate(
                ids, attention_mask=torch.ones_like(ids), max_new_tokens=tokens, min_new_tokens=tokens, do_sample=False, pad_token_id=0
            )
        took = time.time() - began
        assert out.shape[1] == ids.shape[1] + tokens
        return took, None

    return generate


def open_scorer(request):
    model = load(request)

    def score(ids, first):
        with torch.inference_mode():
            logits = model(torch.tensor([ids])).logits[0, first - 1 : -1]
        return log_probabilities(logits.float().numpy(), ids[first:])

    return score


if __name__ == "__main__":
    main(open_model, open_scorer)
