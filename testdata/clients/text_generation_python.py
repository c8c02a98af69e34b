"""Drives a running llmrun server with the unmodified client of Text Generation Inference (package text-generation).

usage: text_generation_python.py ADDRESS KEY

The client validates every answer against its own types. Its streams of chats are left out: version 0.7.0 reads only what TGI sent before 2024, a role
and tool_calls in every chunk and no [DONE] at the end, which no server of the OpenAI API sends, TGI since then included. Every check works with any model.
"""

import asyncio
import sys

from text_generation import AsyncClient, Client
from text_generation.errors import NotFoundError, ValidationError

address, key = sys.argv[1:]
headers = {"Authorization": f"Bearer {key}"}
client = Client(address, headers=headers, timeout=60)
prompt = "What is the capital of France?"
ask = {"max_new_tokens": 12, "decoder_input_details": True}

whole = client.generate(prompt, top_n_tokens=2, **ask)
details = whole.details
assert isinstance(whole.generated_text, str), whole
assert details.generated_tokens == len(details.tokens) > 0, details
assert details.finish_reason in ("length", "eos_token", "stop_sequence"), details
assert len(details.prefill) > 1 and all(len(t) == 2 for t in details.top_tokens), details

streamed = list(client.generate_stream(prompt, max_new_tokens=12))
assert "".join(r.token.text for r in streamed if not r.token.special) == whole.generated_text, streamed
assert streamed[-1].generated_text == whole.generated_text and streamed[-1].details.finish_reason == details.finish_reason
assert [r.token.id for r in streamed] == [t.id for t in details.tokens], streamed

assert client.generate(prompt, max_new_tokens=12, return_full_text=True).generated_text.startswith(prompt)
sampled = [client.generate(prompt, max_new_tokens=12, do_sample=True, seed=7, temperature=0.7, top_k=10, top_p=0.9).generated_text for _ in range(2)]
assert sampled[0] == sampled[1], sampled
best = client.generate(prompt, max_new_tokens=6, do_sample=True, best_of=3)
assert len(best.details.best_of_sequences) == 2, best
stopped = client.generate("one two three", max_new_tokens=30, stop_sequences=["e"])
assert stopped.details.finish_reason != "stop_sequence" or stopped.generated_text.endswith("e"), stopped

messages = [{"role": "user", "content": prompt}]
chat = client.chat(messages, max_tokens=12, temperature=0.5, seed=3)
assert chat.choices[0].message.role == "assistant" and chat.choices[0].message.content, chat
assert chat.usage["total_tokens"] == chat.usage["prompt_tokens"] + chat.usage["completion_tokens"], chat.usage


def refused(kind, call):
    try:
        call()
    except kind:
        return
    raise AssertionError(f"no {kind.__name__}")


refused(ValidationError, lambda: client.generate("x" * 4000, max_new_tokens=400))
refused(NotFoundError, lambda: Client(address + "/nowhere", headers=headers).generate(prompt))


async def at_once():
    several = AsyncClient(address, headers=headers, timeout=60)
    texts = await asyncio.gather(*(several.generate(prompt, max_new_tokens=12) for _ in range(8)))
    assert {t.generated_text for t in texts} == {whole.generated_text}, texts
    pieces = [r.token.text async for r in several.generate_stream(prompt, max_new_tokens=12) if not r.token.special]
    assert "".join(pieces) == whole.generated_text, pieces


asyncio.run(at_once())
print("text-generation: ok")
