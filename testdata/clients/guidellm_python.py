"""Runs the unmodified load generator guidellm against a running llmrun server of the bundled model.

usage: guidellm_python.py BASE_URL KEY MODEL MODEL_DIR WORK_DIR

BASE_URL ends in /v1. Prompts are made up of MODEL_DIR's tokenizer, so that nothing is downloaded. Completions and chats are streamed to several clients at once; every request must
be answered whole, with as many tokens as were asked for, by guidellm's own count of what the server says.
"""

import json
import os
import pathlib
import subprocess
import sys

base, key, model, model_dir, work = sys.argv[1:]
PROMPT, OUTPUT, REQUESTS, STREAMS = 48, 24, 24, 4


def run(path):
    report = pathlib.Path(work) / ("guidellm" + path.replace("/", "_") + ".json")
    settings = {
        "--backend": {"kind": "openai_http", "target": base.removesuffix("/v1"), "model": model, "api_key": key, "request_format": path},
        "--profile": {"kind": "concurrent", "streams": STREAMS},
        "--constraint": {"kind": "max_requests", "count": REQUESTS},
        "--data": {"kind": "synthetic_text", "prompt_tokens": PROMPT, "output_tokens": OUTPUT},
        "--tokenizer": {"kind": "hf_auto", "model": model_dir},
        "--output": {"kind": "json", "path": str(report)},
    }
    args = [part for flag, value in settings.items() for part in (flag, json.dumps(value))]
    program = [sys.executable, "-m", "guidellm", "run", "--disable-console", *args]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(pathlib.Path(work) / "hub"), "TOKENIZERS_PARALLELISM": "false"}
    environment.update(GUIDELLM__MP_CONTEXT_TYPE="forkserver", GUIDELLM__MAX_WORKER_PROCESSES="1")  # each process imports torch
    done = subprocess.run(program, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, (done.stdout[-2000:], done.stderr[-2000:])
    return json.loads(report.read_text())


def check(path):
    (benchmark,) = run(path)["benchmarks"]
    requests = benchmark["requests"]
    assert len(requests["successful"]) == REQUESTS and not requests["errored"], {k: len(v) for k, v in requests.items()}
    for r in requests["successful"]:
        assert r["output_tokens"] == OUTPUT, r
        assert r["prompt_tokens"] >= PROMPT, r
        assert r["time_to_first_token_ms"] > 0 and r["output"], r


for path in ("/v1/completions", "/v1/chat/completions"):
    check(path)
    print(path, "passed")
