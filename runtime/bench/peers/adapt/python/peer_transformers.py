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

    class Times:
        """A streamer that notes when it is given the prompt and each token. Those are of one sequence: of several only the sum is told."""

        def __init__(self):
            self.at = []

        def put(self, ids):
            self.at.append(time.time())

        def end(self):
            pass

    def generate(prompts, tokens):
        ids, times = torch.tensor(prompts), Times() if len(prompts) == 1 else None
        began = time.time()
        with torch.inference_mode():
            out = model.generate(
                ids, attention_mask=torch.ones_like(ids), max_new_tokens=tokens, min_new_tokens=tokens, do_sample=False, pad_token_id=0, streamer=times
            )
        took = time.time() - began
        assert out.shape[1] == ids.shape[1] + tokens
        if times is None:
            return took, None
        first = times.at[1] - began
        return first, took - first

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
