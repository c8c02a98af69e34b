"""transformers and torch: greedy generation over the cache that it takes by itself."""
import time

import torch
from transformers import AutoModelForCausalLM

from adaptor import main


def open_model(request):
    torch.set_num_threads(request["threads"])
    model = AutoModelForCausalLM.from_pretrained(request["model"], dtype=getattr(torch, request["variant"])).eval()

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


if __name__ == "__main__":
    main(open_model)
