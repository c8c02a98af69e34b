"""OpenVINO GenAI: LLMPipeline for one sequence, ContinuousBatchingPipeline for several, as its users run it."""
import os
import time

import numpy
import openvino
import openvino_genai

from adaptor import log_probabilities, main


def config(tokens):
    c = openvino_genai.GenerationConfig()
    c.max_new_tokens = c.min_new_tokens = tokens
    c.ignore_eos, c.do_sample = True, False
    return c


def tensor(ids):
    return openvino.Tensor(numpy.array([ids], dtype=numpy.int64))


class Pipelines:
    """One pipeline at a time, so that memory holds the model once."""

    def __init__(self, request):
        self.request = request
        self.properties = {"INFERENCE_NUM_THREADS": request["threads"], "PERFORMANCE_HINT": "LATENCY"}
        self.one = self.many = None

    def generate(self, prompts, tokens):
        return self.alone(prompts[0], tokens) if len(prompts) == 1 else self.together(prompts, tokens)

    def alone(self, prompt, tokens):
        if self.one is None:
            self.many = None
            self.one = openvino_genai.LLMPipeline(self.request["model"], "CPU", **self.properties)
        inputs = openvino_genai.TokenizedInputs(tensor(prompt), tensor([1] * len(prompt)))
        metrics = self.one.generate(inputs, config(tokens)).perf_metrics
        assert metrics.get_num_generated_tokens() == tokens, metrics.get_num_generated_tokens()
        first = metrics.get_ttft().mean / 1e3
        return first, metrics.get_tpot().mean / 1e3 * (tokens - 1) if tokens > 1 else 0.0

    def together(self, prompts, tokens):
        if self.many is None:
            self.one = None
            scheduler = openvino_genai.SchedulerConfig()
            scheduler.cache_size, scheduler.max_num_seqs, scheduler.max_num_batched_tokens = 2, 64, 2048
            scheduler.enable_prefix_caching, scheduler.dynamic_split_fuse = False, True
            self.many = openvino_genai.ContinuousBatchingPipeline(self.request["model"], scheduler, "CPU", self.properties)
        inputs = [tensor(p) for p in prompts]
        began = time.time()
        results = self.many.generate(inputs, [config(tokens)] * len(prompts))
        took = time.time() - began
        assert all(len(r.m_generation_ids[0]) == tokens for r in results)
        return took, None


def open_scorer(request):
    """The model itself, as the pipelines compile it: they do not tell probabilities of prompts."""
    properties = {"INFERENCE_NUM_THREADS": request["threads"], "PERFORMANCE_HINT": "LATENCY"}
    infer = openvino.Core().compile_model(os.path.join(request["model"], "openvino_model.xml"), "CPU", properties).create_infer_request()

    def score(ids, first):
        infer.reset_state()
        row = numpy.array([ids], dtype=numpy.int64)
        asked = {
            "input_ids": row,
            "attention_mask": numpy.ones_like(row),
            "position_ids": numpy.arange(len(ids), dtype=numpy.int64)[None],
            "beam_idx": numpy.zeros(1, dtype=numpy.int32),
        }
        logits = infer.infer(asked)["logits"][0]
        return log_probabilities(logits[first - 1 : -1], ids[first:])

    return score


if __name__ == "__main__":
    main(lambda request: Pipelines(request).generate, open_scorer)
