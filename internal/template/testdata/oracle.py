"""Renews what the snippets give: python oracle.py [FILE...]

Every line of snippets/*.jsonl is an object with the template "t" and, optionally, its variables "c" (else context.json).
This adds "want", the text that transformers' Jinja environment renders, or "raises", the name of the exception.
Needs transformers and jinja2 (3.1.6 was used, with Python 3.11 and transformers 5.23).
"""

import copy
import datetime
import json
import pathlib
import sys

from transformers.utils import chat_template_utils

HERE = pathlib.Path(__file__).parent


class Clock(datetime.datetime):
    """The clock that strftime_now reads."""

    @classmethod
    def now(cls, tz=None):
        return cls(2026, 3, 5, 7, 8, 9, 12345)


chat_template_utils.datetime = Clock


# What apply_chat_template always passes.
ALWAYS = {"messages": None, "tools": None, "documents": None, "add_generation_prompt": False}


def render(template, variables):
    try:
        compiled = chat_template_utils._compile_jinja_template(template)
    except Exception:
        return {"raises": "TemplateSyntaxError"}
    try:
        return {"want": compiled.render(**{**ALWAYS, **copy.deepcopy(variables)})}
    except Exception as e:
        return {"raises": type(e).__name__}


def main(paths):
    default = json.loads((HERE / "context.json").read_text(encoding="utf-8"))
    for path in paths:
        lines = []
        for line in path.read_text(encoding="utf-8").rstrip("\n").split("\n"):
            case = json.loads(line)
            kept = {k: case[k] for k in ("t", "c") if k in case}
            kept.update(render(case["t"], case.get("c", default)))
            lines.append(json.dumps(kept, ensure_ascii=False))
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main([pathlib.Path(p) for p in sys.argv[1:]] or sorted((HERE / "snippets").glob("*.jsonl")))
