"""Drives a server with the unmodified tritonclient package over HTTP: python tritonclient_python.py HOST:PORT --model NAME."""

import argparse

import numpy as np
import tritonclient.http as http
from tritonclient.utils import InferenceServerException

parser = argparse.ArgumentParser()
parser.add_argument("address")
parser.add_argument("--model", required=True)
args = parser.parse_args()

client = http.InferenceServerClient(args.address)
assert client.is_server_live() and client.is_server_ready() and client.is_model_ready(args.model)
assert client.get_server_metadata()["name"] == "llmrun"
metadata = client.get_model_metadata(args.model)
assert [t["name"] for t in metadata["inputs"]][0] == "text_input", metadata
assert client.get_model_config(args.model)["name"] == args.model
assert client.get_model_repository_index()[0]["state"] == "READY"

for binary in (True, False):
    text = http.InferInput("text_input", [2, 1], "BYTES")
    text.set_data_from_numpy(np.array([["Grüße"], ["hello"]], dtype=object), binary_data=binary)
    tokens = http.InferInput("max_tokens", [1], "INT32")
    tokens.set_data_from_numpy(np.array([40], dtype=np.int32), binary_data=binary)
    output = http.InferRequestedOutput("text_output", binary_data=binary)
    result = client.infer(args.model, [text, tokens], outputs=[output], request_id="r1")
    assert result.get_response()["id"] == "r1"
    texts = result.as_numpy("text_output")
    assert texts.shape == (2, 1), texts
    got = [t.decode() if isinstance(t, bytes) else t for t in texts.flatten()]
    assert all(got), got

try:
    client.infer(args.model, [http.InferInput("nothing", [1], "INT32").set_data_from_numpy(np.array([1], dtype=np.int32))])
    raise SystemExit("an unknown input was taken")
except InferenceServerException as e:
    assert "nothing" in str(e), e

assert not client.is_model_ready("other")
print("ok")
