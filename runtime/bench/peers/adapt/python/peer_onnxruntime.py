"""ONNX Runtime GenAI: the generator loop of its examples."""
import json
import time

import numpy
import onnxruntime_genai

from adaptor import main


def open_model(request):
    config = onnxruntime_genai.Config(request["model"])
    config.overlay(json.dumps({"model": {"decoder": {"session_options": {"intra_op_num_threads": request["threads"]}}}}))
    model = onnxruntime_genai.Model(config)

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


if __name__ == "__main__":
    main(open_model)
