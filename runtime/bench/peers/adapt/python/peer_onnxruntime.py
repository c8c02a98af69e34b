"""ONNX Runtime GenAI: the generator loop of its examples."""
import json
import time

import numpy
import onnxruntime_genai

from adaptor import log_probabilities, main


def load(request):
    config = onnxruntime_genai.Config(request["model"])
    config.overlay(json.dumps({"model": {"decoder": {"session_options": {"intra_op_num_threads": request["threads"]}}}}))
    return onnxruntime_genai.Model(config)


def open_model(request):
    model = load(request)

    def generate(prompts, tokens):
        length = len(prompts[0]) + tokens
        params = onnxruntime_genai.GeneratorParams(model)
        params.set_search_options(max_length=length, min_length=length, batch_size=len(prompts), do_sample=False)
        generator = onnxruntime_genai.Generator(model, params)
        began = time.time()
        generator.append_tokens(numpy.array(prompts, dtype=numpy.int32))
        generator.generate_next_token()
        first = time.time() - began
        for _ in range(tokens - 1):
            generator.generate_next_token()
        return first, time.time() - began - first

    return generate


def open_scorer(request):
    model = load(request)

    def score(ids, first):
        params = onnxruntime_genai.GeneratorParams(model)
        params.set_search_options(max_length=len(ids) + 1, batch_size=1, do_sample=False)
        generator = onnxruntime_genai.Generator(model, params)
        generator.append_tokens(numpy.array([ids], dtype=numpy.int32))
        logits = generator.get_output("logits")[0]
        assert len(logits) == len(ids), logits.shape
        return log_probabilities(logits[first - 1 : -1], ids[first:])

    return score


if __name__ == "__main__":
    main(open_model, open_scorer)
