"""Drives a running llmrun server with the unmodified openai package and checks what comes back.

usage: openai_python.py BASE_URL [--model NAME] [--api-key KEY] [--flaky NAME]

BASE_URL ends in /v1. Every check works with any model, whatever it writes; responses are validated against the types of the
openai package. --flaky names a model of which every other request is answered with 429. One line a check; exit status 1 when
one fails.
"""

import argparse
import asyncio
import socket
import sys
import threading
import traceback
from urllib.parse import urlparse

import openai

CHECKS = []


def check(function):
    """Registers a check; they run in the order of the file."""
    CHECKS.append(function)
    return function


class Setup:
    """What a check works with."""

    def __init__(self, arguments):
        self.base_url = arguments.base_url
        self.key = arguments.api_key or "unused"
        self.guarded = bool(arguments.api_key)
        self.flaky = arguments.flaky
        self.client = self.connect()
        # The package's types deny nulls that the API does send: finish_reason in the middle of a stream of completions, the
        # probability of a prompt's first token.
        self.lenient = self.connect(strict=False)
        self.model = arguments.model or self.client.models.list().data[0].id
        self.messages = [{"role": "user", "content": "Say hello."}]

    def connect(self, strict=True, **options):
        options = {"base_url": self.base_url, "api_key": self.key, "timeout": 60, "max_retries": 0, **options}
        return openai.OpenAI(_strict_response_validation=strict, **options)

    def chat(self, **options):
        options = {"model": self.model, "messages": self.messages, "max_completion_tokens": 12, "temperature": 0, **options}
        return self.client.chat.completions.create(**options)

    def complete(self, **options):
        options = {"model": self.model, "prompt": "Once upon a time", "max_tokens": 12, "temperature": 0, **options}
        client = self.lenient if options.get("stream") or options.get("echo") else self.client
        return client.completions.create(**options)


def expect(condition, *what):
    if not condition:
        raise AssertionError(" ".join(str(w) for w in what))


def raises(kind, call):
    try:
        call()
    except kind as e:
        return e
    raise AssertionError(f"no {kind.__name__}")


@check
def models(s):
    names = [m.id for m in s.client.models.list()]
    expect(s.model in names, s.model, "not in", names)
    expect(s.client.models.retrieve(s.model).id == s.model, "retrieved another model")
    raises(openai.NotFoundError, lambda: s.client.models.retrieve("no/such-model"))


@check
def completion(s):
    answer = s.complete()
    expect(answer.object == "text_completion", answer.object)
    expect(answer.choices[0].finish_reason in ("length", "stop"), answer.choices[0].finish_reason)
    usage = answer.usage
    expect(0 < usage.completion_tokens <= 12 and usage.prompt_tokens > 0, usage)
    expect(usage.total_tokens == usage.prompt_tokens + usage.completion_tokens, usage)


@check
def completion_stream(s):
    whole = s.complete()
    chunks = list(s.complete(stream=True, stream_options={"include_usage": True}))
    text = "".join(c.choices[0].text for c in chunks if c.choices)
    expect(text == whole.choices[0].text, repr(text), "streamed, but whole", repr(whole.choices[0].text))
    expect(chunks[-1].choices == [] and chunks[-1].usage.completion_tokens == whole.usage.completion_tokens, chunks[-1])
    expect(len({c.id for c in chunks}) == 1, "chunks of several ids")


@check
def completion_batch(s):
    answer = s.complete(prompt=["one", "two"], n=2, max_tokens=2)
    expect([c.index for c in answer.choices] == [0, 1, 2, 3], answer.choices)
    expect(answer.choices[0].text == answer.choices[1].text, "greedy choices of one prompt differ")


@check
def completion_tokens(s):
    answer = s.complete(prompt=[5, 6, 7], max_tokens=1)
    expect(answer.usage.prompt_tokens == 3, answer.usage)


@check
def completion_logprobs(s):
    answer = s.complete(logprobs=2, max_tokens=4)
    logprobs = answer.choices[0].logprobs
    count = len(logprobs.tokens)
    expect(count == len(logprobs.token_logprobs) == len(logprobs.top_logprobs) == len(logprobs.text_offset) > 0, logprobs)
    expect(all(p <= 1e-4 for p in logprobs.token_logprobs), logprobs.token_logprobs)


@check
def completion_score(s):
    # What evaluation harnesses ask for: the probabilities of a given text.
    answer = s.complete(prompt="A given text", echo=True, logprobs=1, max_tokens=0)
    choice = answer.choices[0]
    expect(choice.text == "A given text", repr(choice.text))
    expect(choice.logprobs.token_logprobs[0] is None, choice.logprobs.token_logprobs)
    expect(len(choice.logprobs.tokens) == answer.usage.prompt_tokens, answer.usage)
    expect(answer.usage.completion_tokens == 0, answer.usage)


@check
def chat(s):
    answer = s.chat()
    choice = answer.choices[0]
    expect(answer.object == "chat.completion", answer.object)
    expect(choice.message.role == "assistant" and isinstance(choice.message.content, str), choice)
    expect(choice.finish_reason in ("length", "stop"), choice.finish_reason)
    expect(answer.usage.prompt_tokens_details.cached_tokens >= 0, answer.usage)


@check
def chat_stream(s):
    whole = s.chat().choices[0]
    chunks = list(s.chat(stream=True, stream_options={"include_usage": True}))
    expect(chunks[0].choices[0].delta.role == "assistant", chunks[0])
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    expect(text == whole.message.content, repr(text), "streamed, but whole", repr(whole.message.content))
    reasons = [c.choices[0].finish_reason for c in chunks if c.choices]
    expect(reasons[-1] == whole.finish_reason and not any(reasons[:-1]), reasons)
    expect(all(c.usage is None for c in chunks[:-1]) and chunks[-1].usage.total_tokens > 0, chunks[-1])


@check
def chat_stream_helper(s):
    with s.client.chat.completions.stream(model=s.model, messages=s.messages, max_completion_tokens=6, temperature=0) as stream:
        kinds = {event.type for event in stream}
        final = stream.current_completion_snapshot
    expect("chunk" in kinds, kinds)
    expect(final.choices[0].message.content == s.chat(max_completion_tokens=6).choices[0].message.content, final)


@check
def chat_choices(s):
    answer = s.chat(n=3, max_completion_tokens=3)
    expect([c.index for c in answer.choices] == [0, 1, 2], answer.choices)
    streamed = {}
    for chunk in s.chat(n=3, max_completion_tokens=3, stream=True):
        for c in chunk.choices:
            streamed[c.index] = streamed.get(c.index, "") + (c.delta.content or "")
    expect(streamed == {c.index: c.message.content for c in answer.choices}, streamed)


@check
def chat_seed(s):
    first, second = (s.chat(temperature=1, seed=42).choices[0].message.content for _ in range(2))
    expect(first == second, repr(first), "and", repr(second), "from one seed")


@check
def chat_logprobs(s):
    content = s.chat(logprobs=True, top_logprobs=3, max_completion_tokens=3).choices[0].logprobs.content
    expect(len(content) > 0 and all(len(t.top_logprobs) == 3 for t in content), content)
    expect(all(t.bytes is not None and t.logprob <= 1e-4 for t in content), content)


@check
def chat_conversation(s):
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "Hello"}, {"type": "text", "text": "there"}]},
        {"role": "assistant", "content": "General?"},
        {"role": "user", "content": "Go on."},
    ]
    answer = s.chat(messages=messages, stop=["\n\n\n\n"], logit_bias={"3": -100}, presence_penalty=0.1, user="someone")
    again = messages + [answer.choices[0].message, {"role": "user", "content": "And?"}]
    s.chat(messages=again, max_completion_tokens=1)


@check
def responses(s):
    asked = dict(model=s.model, instructions="Be brief.", input="hello", max_output_tokens=12, temperature=0)
    whole = s.client.responses.create(**asked)
    expect(whole.object == "response" and whole.status in ("completed", "incomplete"), whole)
    expect(0 < whole.usage.output_tokens <= 12, whole.usage)
    events = list(s.client.responses.create(stream=True, **asked))
    text = "".join(e.delta for e in events if e.type == "response.output_text.delta")
    expect(text == whole.output_text, repr(text), "streamed, but whole", repr(whole.output_text))
    expect([e.sequence_number for e in events] == list(range(len(events))), "events are not numbered")
    expect(events[-1].response.output_text == text, events[-1])
    again = [{"role": "user", "content": "hello"}, *whole.output, {"role": "user", "content": "go on"}]
    expect(s.client.responses.create(**{**asked, "input": again}).output, "no answer to items")
    raises(openai.BadRequestError, lambda: s.client.responses.create(**asked, previous_response_id="resp_0"))


@check
def tools(s):
    function = {"name": "f", "description": "d", "parameters": {"type": "object", "properties": {"x": {"type": "integer"}}}}
    asked = dict(model=s.model, messages=[{"role": "user", "content": "hello"}], max_tokens=12, tools=[{"type": "function", "function": function}])
    for choice in ("auto", "none"):
        answer = s.client.chat.completions.create(tool_choice=choice, **asked)
        expect(answer.choices[0].message.role == "assistant", answer)
    chunks = list(s.client.chat.completions.create(stream=True, **asked))
    expect(chunks[-1].choices[0].finish_reason is not None, chunks[-1])


@check
def raw_response(s):
    raw = s.client.chat.completions.with_raw_response.create(
        model=s.model, messages=s.messages, max_completion_tokens=1, extra_headers={"X-Request-Id": "mine-1"})
    expect(raw.headers["x-request-id"] == "mine-1", raw.headers)
    expect(raw.parse()._request_id == "mine-1", "request id not found by the client")


@check
def refusals(s):
    e = raises(openai.BadRequestError, lambda: s.chat(temperature=3))
    expect(e.param == "temperature" and e.type == "invalid_request_error" and e.code, e.body)
    e = raises(openai.BadRequestError, lambda: s.chat(extra_body={"no_such_field": 1}))
    expect(e.code == "unknown_parameter" and e.param == "no_such_field", e.body)
    e = raises(openai.BadRequestError, lambda: s.chat(response_format={"type": "xml"}))
    expect(e.param == "response_format", e.body)
    e = raises(openai.NotFoundError, lambda: s.chat(model="no-such-model"))
    expect(e.code == "model_not_found", e.body)
    raises(openai.BadRequestError, lambda: s.complete(prompt=[2**31]))
    e = raises(openai.BadRequestError, lambda: s.complete(max_tokens=2**31 - 1))
    expect(e.code == "context_length_exceeded", e.body)
    raises(openai.NotFoundError, lambda: s.client.post("/no/such/url", cast_to=object, body={}))


@check
def keys(s):
    if s.guarded:
        stranger = s.connect(api_key="wrong")
        e = raises(openai.AuthenticationError, lambda: stranger.models.list())
        expect(e.code == "invalid_api_key", e.body)


@check
def stream_left_early(s):
    for _ in range(3):
        stream = s.chat(stream=True, max_completion_tokens=64)
        next(iter(stream))
        stream.close()
    s.chat(max_completion_tokens=1)


@check
def retry_after_429(s):
    if s.flaky is None:
        return

    def ask(client):
        return client.chat.completions.create(model=s.flaky, messages=s.messages, max_completion_tokens=1)

    outcomes = []
    for _ in range(2):
        try:
            ask(s.client)
            outcomes.append("answered")
        except openai.RateLimitError as e:
            expect(e.code == "queue_full" and int(e.response.headers["retry-after"]) >= 1, e.body)
            outcomes.append("refused")
    expect(sorted(outcomes) == ["answered", "refused"], outcomes)
    patient = s.connect(max_retries=2)
    ask(patient)
    ask(patient)


class DroppingProxy:
    """Forwards to the server, but closes its first connection without an answer."""

    def __init__(self, target):
        self.target = (target.hostname, target.port)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.accepted = 0
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            near, _ = self.listener.accept()
            self.accepted += 1
            if self.accepted == 1:
                near.recv(1)
                near.close()
                continue
            far = socket.create_connection(self.target)
            for a, b in ((near, far), (far, near)):
                threading.Thread(target=self.pump, args=(a, b), daemon=True).start()

    @staticmethod
    def pump(source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass


@check
def retry_after_lost_connection(s):
    target = urlparse(s.base_url)
    if target.scheme != "http":
        return
    proxy = DroppingProxy(target)
    address = f"http://127.0.0.1:{proxy.listener.getsockname()[1]}{target.path}"
    s.connect(base_url=address, max_retries=2).models.list()
    expect(proxy.accepted == 2, proxy.accepted, "connections")


@check
def many_at_once(s):
    expected = s.chat().choices[0].message.content

    async def one(client):
        stream = await client.chat.completions.create(
            model=s.model, messages=s.messages, max_completion_tokens=12, temperature=0, stream=True)
        return "".join([c.choices[0].delta.content or "" async for c in stream if c.choices])

    async def all_of_them():
        async with openai.AsyncOpenAI(base_url=s.base_url, api_key=s.key, timeout=60, max_retries=0) as client:
            return await asyncio.gather(*(one(client) for _ in range(8)))

    texts = set(asyncio.run(all_of_them()))
    expect(texts == {expected}, texts, "expected", repr(expected))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("base_url")
    parser.add_argument("--model")
    parser.add_argument("--api-key")
    parser.add_argument("--flaky")
    setup = Setup(parser.parse_args())
    failures = 0
    for function in CHECKS:
        try:
            function(setup)
            print("ok  ", function.__name__)
        except Exception:
            failures += 1
            print("FAIL", function.__name__)
            traceback.print_exc(file=sys.stdout)
    print(f"openai {openai.__version__}: {len(CHECKS) - failures} of {len(CHECKS)} checks hold")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
