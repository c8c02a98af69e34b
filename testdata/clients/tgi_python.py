"""Drives a server with the unmodified InferenceClient of huggingface_hub: python tgi_python.py URL."""

import argparse

from huggingface_hub import InferenceClient

parser = argparse.ArgumentParser()
parser.add_argument("url")
args = parser.parse_args()

client = InferenceClient(args.url)
text = client.text_generation("hello", max_new_tokens=40)
assert isinstance(text, str) and text, text

whole = client.text_generation("hello", max_new_tokens=40, details=True, decoder_input_details=True, top_n_tokens=2)
assert whole.generated_text == text, whole
assert whole.details.finish_reason in ("eos_token", "length", "stop_sequence"), whole.details
assert whole.details.generated_tokens == len(whole.details.tokens), whole.details
assert len(whole.details.prefill) > 1 and whole.details.tokens[0].id >= 0

streamed = "".join(client.text_generation("hello", max_new_tokens=40, stream=True))
assert streamed == text, (streamed, text)
last = None
for last in client.text_generation("hello", max_new_tokens=40, stream=True, details=True):
    pass
assert last.generated_text == text and last.details.finish_reason == whole.details.finish_reason, last

full = client.text_generation("hello", max_new_tokens=40, return_full_text=True)
assert full == "hello" + text, full

chat = client.chat_completion([{"role": "user", "content": "hello"}], max_tokens=40)
assert chat.choices[0].message.content
try:
    client.text_generation("hello", max_new_tokens=40, temperature=-1)
    raise SystemExit("a negative temperature was taken")
except Exception as e:
    assert "temperature" in str(e), e
print("ok")
