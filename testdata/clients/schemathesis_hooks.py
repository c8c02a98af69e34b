"""Hooks of schemathesis for runs against llmrun (schemathesis_run.py)."""

import ast

import schemathesis

parse = ast.parse


def parse_again(*args, **kwargs):
    """ast.parse without a bug of CPython 3.11 (gh-106905): while threads change the recursion limit it fails now and then, as hypothesis reads sources of lambdas."""
    for _ in range(5):
        try:
            return parse(*args, **kwargs)
        except SystemError:
            pass
    return parse(*args, **kwargs)


ast.parse = parse_again

# Fields that rules about more than one field, or languages of their own, decide about: no schema says which of their values are taken together. They stay
# in requests that are to be refused; each alone is held to its schema by tests of the server's.
TOGETHER = {
    "add_special_tokens", "continue_final_message", "add_generation_prompt", "n", "best_of", "max_tokens", "max_completion_tokens", "min_tokens", "stream_options",
    "top_logprobs", "use_beam_search", "length_penalty", "early_stopping", "structured_outputs", "guided_json", "guided_regex", "guided_choice", "guided_grammar",
    "response_format", "tool_choice", "grammar", "text", "sampling_parameters", "prompt_name", "tools",
}


def taken(path, body):
    """Makes a body that keeps to the schema one that keeps to the rules about several fields too."""
    body = {key: value for key, value in body.items() if key not in TOGETHER}
    if isinstance(body.get("parameters"), dict):
        body["parameters"] = {key: value for key, value in body["parameters"].items() if key not in TOGETHER | {"stream"}}
    if path == "/tokenize":
        body.pop("messages", None)  # which models with a chat template alone take
        given = [key for key in ("prompt", "inputs") if body.get(key) is not None]
        for key in given[1:]:
            del body[key]
        if not given:
            body["prompt"] = "x"
    if path == "/v1/responses" and not isinstance(body.get("input"), str):
        body["input"] = "x"
    for key in ("text_1", "text_2", "documents") if path in ("/v1/score", "/v1/rerank") else ():
        if not isinstance(body.get(key), str):
            body[key] = "x"
    if path.endswith("/generate"):
        body.pop("stream", None)
    return body


@schemathesis.hook
def before_call(context, case, kwargs):
    if case.meta is not None and case.meta.generation.mode.is_positive and isinstance(case.body, dict):
        case.body = taken(case.operation.path, case.body)
