"""vLLM without its server, in this process."""
import os
import time

from adaptor import main

os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")


def open_model(request):
    from vllm import LLM, SamplingParams

    model = LLM(
        request["model"], dtype="bfloat16", max_model_len=request["context"], max_num_seqs=64, enable_prefix_caching=False, disable_log_stats=True
    )

    def generate(prompts, tokens):
        params = SamplingParams(temperature=0.0, max_tokens=tokens, ignore_eos=True, detokenize=False)
        inputs = [{"prompt_token_ids": p} for p in prompts]
        began = time.time()
        model.generate(inputs, params, use_tqdm=False)
        return time.time() - began, None

    return generate


if __name__ == "__main__":
    main(open_model)
