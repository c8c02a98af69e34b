"""vLLM without its server, in this process."""
import os
import time

from adaptor import main

os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")


def load(request):
    from vllm import LLM

    return LLM(
        request["model"], dtype="bfloat16", max_model_len=request["context"], max_num_seqs=64, enable_prefix_caching=False, disable_log_stats=True
    )


def open_model(request):
    from vllm import SamplingParams

    model = load(request)

    def generate(prompts, tokens):
        params = SamplingParams(temperature=0.0, max_tokens=tokens, ignore_eos=True, detokenize=False)
        inputs = [{"prompt_token_ids": p} for p in prompts]
        began = time.time()
        model.generate(inputs, params, use_tqdm=False)
        return time.time() - began, None

    return generate


def open_scorer(request):
    from vllm import SamplingParams

    model = load(request)
    params = SamplingParams(temperature=0.0, max_tokens=1, prompt_logprobs=0, detokenize=False)

    def score(ids, first):
        found = model.generate([{"prompt_token_ids": ids}], params, use_tqdm=False)[0].prompt_logprobs
        return [found[i][ids[i]].logprob for i in range(first, len(ids))]

    return score


if __name__ == "__main__":
    main(open_model, open_scorer)
