"""Runs vLLM's unmodified benchmark client (benchmark_serving.py) against a running llmrun server of the bundled model.

usage: vllm_bench.py BASE_URL KEY MODEL MODEL_DIR WORK_DIR

BASE_URL ends in /v1. The client's files are in the directory vllm of the Python's prefix. Its prompts are random tokens and lines of sonnets, by MODEL_DIR's tokenizer, so that nothing is
downloaded. Requests are streamed as completions and as chats, at a rate and so many at a time. By the client's own report each must be answered, with as many tokens as were asked for, and
with times to the first token and between tokens.
"""

import json
import os
import pathlib
import subprocess
import sys

base, key, model, model_dir, work = sys.argv[1:]
home = pathlib.Path(sys.prefix) / "vllm"
REQUESTS, OUTPUT = 32, 24

RANDOM = ["--dataset-name", "random", "--random-input-len", "40", "--random-output-len", str(OUTPUT), "--random-prefix-len", "8"]
SONNET = ["--dataset-name", "sonnet", "--dataset-path", str(home / "sonnet.txt"), "--sonnet-input-len", "300", "--sonnet-prefix-len", "120", "--sonnet-output-len", str(OUTPUT)]
RUNS = {
    "completions, random, at a rate": ["--backend", "vllm", "--endpoint", "/v1/completions", *RANDOM, "--request-rate", "40", "--burstiness", "0.5"],
    "chat, sonnets, eight at a time": ["--backend", "openai-chat", "--endpoint", "/v1/chat/completions", *SONNET, "--max-concurrency", "8"],
}


def run(number, flags):
    report = pathlib.Path(work) / f"vllm-bench-{number}.json"
    program = [sys.executable, str(home / "benchmark_serving.py"), "--base-url", base.removesuffix("/v1"), "--model", model, "--tokenizer", model_dir,
               "--num-prompts", str(REQUESTS), "--seed", "1", "--ignore-eos", "--disable-tqdm", "--percentile-metrics", "ttft,tpot,itl,e2el",
               "--save-result", "--result-filename", str(report), *flags]
    environment = {**os.environ, "OPENAI_API_KEY": key, "HF_HUB_OFFLINE": "1", "HF_HOME": str(pathlib.Path(work) / "hub"), "TOKENIZERS_PARALLELISM": "false"}
    return subprocess.Popen(program, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True), report


def check(r):
    assert not any(r["errors"]), [e[-500:] for e in r["errors"] if e]
    assert r["completed"] == REQUESTS and r["output_lens"] == [OUTPUT] * REQUESTS, (r["completed"], r["output_lens"])
    assert r["total_output_tokens"] == REQUESTS * OUTPUT and r["total_input_tokens"] > REQUESTS * 40
    assert all(t > 0 for t in r["ttfts"]) and any(r["generated_texts"])
    assert sum(map(len, r["itls"])) > 2 * REQUESTS  # an event for each token that has text
    assert 0 < r["mean_ttft_ms"] < r["mean_e2el_ms"] and r["p99_tpot_ms"] > 0 and r["p99_itl_ms"] > 0


running = [(name, *run(i, flags)) for i, (name, flags) in enumerate(RUNS.items())]
for name, process, report in running:
    output, _ = process.communicate()
    assert process.returncode == 0, (name, output[-2000:])
    result = json.loads(report.read_text())
    check(result)
    print(f"{name} passed: {result['completed']} requests, {result['output_throughput']:.0f} tokens/s")
