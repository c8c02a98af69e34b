"""Runs the unmodified lm-evaluation-harness (package lm-eval) against a running llmrun server of the bundled model.

usage: lm_eval_python.py BASE_URL KEY MODEL MODEL_DIR WORK_DIR

BASE_URL ends in /v1. Tasks are made of tasks.json of MODEL_DIR, so that nothing is downloaded: which of two answers is more probable
(loglikelihood), and the answer itself (generate_until), over local-completions and over local-chat-completions. The bundled model
answers nearly all: scores tell that prompts, probabilities and outputs are those that were meant. The harness counts tokens by the
server's own /tokenize.
"""

import json
import os
import pathlib
import sys

os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", TOKENIZERS_PARALLELISM="false", TQDM_DISABLE="1")
base, key, model, model_dir, work = sys.argv[1:]
os.environ["OPENAI_API_KEY"] = key
os.environ.setdefault("HF_HOME", str(pathlib.Path(work) / "hub"))

import lm_eval  # noqa: E402 (it reads the environment)
from lm_eval.tasks import TaskManager  # noqa: E402

QUESTIONS = 24
work = pathlib.Path(work)


def layout(question):
    """The conversation as the bundled model's chat template lays it out."""
    return f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n"


def documents():
    """Questions with their answers, and that of another question beside it."""
    tasks = json.loads((pathlib.Path(model_dir) / "tasks.json").read_text())
    tasks = tasks["tasks"] if isinstance(tasks, dict) else tasks
    rows = [{"question": t["prompt"], "answer": t["answer"]} for t in tasks if 0 < len(t["answer"]) < 12][::7][:QUESTIONS]
    for row, other in zip(rows, rows[1:] + rows[:1]):
        row["layout"] = layout(row["question"])
        row["choices"] = [row["answer"], other["answer"] if other["answer"] != row["answer"] else "no such thing"]
    return rows


def write_tasks():
    (work / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in documents()))
    common = {
        "dataset_path": "json", "dataset_kwargs": {"data_files": {"test": str(work / "questions.jsonl")}}, "test_split": "test", "num_fewshot": 0,
    }
    exact = {"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}
    generate = {"output_type": "generate_until", "doc_to_target": "{{answer}}", "metric_list": [exact],
                "generation_kwargs": {"until": ["<|im_end|>", "\n\n"], "max_gen_toks": 24, "do_sample": False}}
    tasks = {
        "which": {**common, "output_type": "multiple_choice", "doc_to_text": "{{layout}}", "doc_to_choice": "{{choices}}", "doc_to_target": 0,
                  "target_delimiter": "", "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}]},
        "what": {**common, **generate, "doc_to_text": "{{layout}}"},
        "what_chat": {**common, **generate, "doc_to_text": "{{question}}"},
    }
    (work / "tasks").mkdir(exist_ok=True)
    for name, task in tasks.items():
        (work / "tasks" / f"{name}.yaml").write_text(json.dumps({"task": name, **task}))  # JSON is YAML


def run(kind, url, tasks, manager, **options):
    arguments = {"model": model, "base_url": url, "max_length": 512, "num_concurrent": 4, "max_retries": 1, **options}
    results = lm_eval.simple_evaluate(
        model=kind, model_args=arguments, tasks=tasks, task_manager=manager, apply_chat_template=kind == "local-chat-completions",
        bootstrap_iters=0, log_samples=False, verbosity="ERROR")["results"]
    return {task: next(v for name, v in scores.items() if name.startswith(("acc,", "exact_match,"))) for task, scores in results.items()}


def main():
    write_tasks()
    manager = TaskManager(include_path=str(work / "tasks"), include_defaults=False)
    scores = run("local-completions", base + "/completions", ["which", "what"], manager, tokenizer_backend="remote", auth_token=key, batch_size=4)
    scores |= run("local-chat-completions", base + "/chat/completions", ["what_chat"], manager)
    print("lm-eval:", {task: float(score) for task, score in scores.items()})
    for task, score in scores.items():
        assert score >= 0.85, (task, score)


if __name__ == "__main__":
    main()
