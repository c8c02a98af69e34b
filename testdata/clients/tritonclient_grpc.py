"""Drives a server with the unmodified tritonclient package over gRPC: python tritonclient_grpc.py HOST:PORT --model NAME [--key KEY --repository-model NAME]."""

import argparse
import queue

import numpy as np
import tritonclient.grpc as grpc
from tritonclient.utils import InferenceServerException

parser = argparse.ArgumentParser()
parser.add_argument("address")
parser.add_argument("--model", required=True)
parser.add_argument("--key")
parser.add_argument("--repository-model", help="a model of the repository, to be unloaded and loaded")
args = parser.parse_args()
headers = {"authorization": "Bearer " + args.key} if args.key else None

client = grpc.InferenceServerClient(args.address)
assert client.is_server_live() and client.is_server_ready() and client.is_model_ready(args.model, headers=headers)
assert client.get_server_metadata(headers=headers).name == "llmrun"
assert client.get_model_metadata(args.model, headers=headers).inputs[0].name == "text_input"
config = client.get_model_config(args.model, headers=headers).config
assert config.name == args.model and config.model_transaction_policy.decoupled, config


def request(*texts, stream=False):
    text = grpc.InferInput("text_input", [len(texts), 1], "BYTES")
    text.set_data_from_numpy(np.array([[t] for t in texts], dtype=object))
    tokens = grpc.InferInput("max_tokens", [1], "INT32")
    tokens.set_data_from_numpy(np.array([40], dtype=np.int32))
    parts = grpc.InferInput("stream", [1], "BOOL")
    parts.set_data_from_numpy(np.array([stream]))
    return [text, tokens, parts]


result = client.infer(args.model, request("Grüße", "hello"), request_id="r1", headers=headers)
assert result.get_response().id == "r1"
whole = [t.decode() for t in result.as_numpy("text_output").flatten()]
assert len(whole) == 2 and all(whole), whole

answers = queue.Queue()
client.start_stream(lambda result, error: answers.put((result, error)), headers=headers)
client.async_stream_infer(args.model, request("hello", stream=True), request_id="s1", enable_empty_final_response=True)
parts = []
while True:
    result, error = answers.get(timeout=60)
    assert error is None, error
    response = result.get_response()
    assert response.id == "s1"
    if response.outputs:
        parts.append(result.as_numpy("text_output")[0, 0].decode())
    if response.parameters["triton_final_response"].bool_param:
        break
assert len(parts) > 1, parts
client.async_stream_infer(args.model, [grpc.InferInput("nothing", [1], "INT32").set_data_from_numpy(np.array([1], dtype=np.int32))])
result, error = answers.get(timeout=60)
assert "nothing" in str(error), error
client.stop_stream()

statistics = client.get_inference_statistics(args.model, headers=headers).model_stats[0]
assert statistics.inference_count >= 3, statistics

if args.repository_model:
    name = args.repository_model
    states = lambda: {m.name: m.state for m in client.get_model_repository_index(headers=headers).models}
    assert states()[name] == "READY", states()
    client.unload_model(name, headers=headers)
    assert states()[name] == "UNAVAILABLE" and not client.is_model_ready(name, headers=headers), states()
    client.load_model(name, headers=headers)
    assert states()[name] == "READY" and client.is_model_ready(name, headers=headers), states()
    try:
        client.load_model(name, config='{"name": "x"}', headers=headers)
        raise SystemExit("a configuration was taken from a request")
    except InferenceServerException as e:
        assert "nothing is taken from requests" in str(e), e
    try:
        client.unload_model(name)
        raise SystemExit("a model was unloaded without a key")
    except InferenceServerException as e:
        assert "API key" in str(e), e
print("ok")
