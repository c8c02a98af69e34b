"""Drives an ensemble with the unmodified tritonclient package: python tritonclient_ensemble.py HTTP_ADDRESS GRPC_ADDRESS. Its inputs are query, documents, max_tokens and stream, its outputs passages, text and why."""

import argparse
import queue

import numpy as np
import tritonclient.grpc as grpc
import tritonclient.http as http
from tritonclient.utils import InferenceServerException

parser = argparse.ArgumentParser()
parser.add_argument("http")
parser.add_argument("grpc")
parser.add_argument("--model", default="answer")
args = parser.parse_args()


def request(module, stream=None):
    query = module.InferInput("query", [1], "BYTES")
    query.set_data_from_numpy(np.array(["q"], dtype=object))
    documents = module.InferInput("documents", [3], "BYTES")
    documents.set_data_from_numpy(np.array(["aa", "the longest", "bbb"], dtype=object))
    inputs = [query, documents]
    if stream is not None:
        parts = module.InferInput("stream", [1], "BOOL")
        parts.set_data_from_numpy(np.array([stream]))
        inputs.append(parts)
    return inputs


def texts(result, name):
    return [t.decode() for t in result.as_numpy(name).flatten()]


over_http, over_grpc = http.InferenceServerClient(args.http), grpc.InferenceServerClient(args.grpc)
for client in (over_http, over_grpc):
    assert client.is_model_ready(args.model)

metadata = over_http.get_model_metadata(args.model)
assert metadata["platform"] == "ensemble" and [o["name"] for o in metadata["outputs"]] == ["passages", "text", "why"], metadata
config = over_http.get_model_config(args.model)
assert config["ensemble_scheduling"]["step"][1]["input_map"]["text_pair"] == "documents", config
config = over_grpc.get_model_config(args.model).config
assert config.platform == "ensemble" and config.ensemble_scheduling.step[5].model_name == "tiny", config

for client, module in ((over_http, http), (over_grpc, grpc)):
    result = client.infer(args.model, request(module), request_id="e1")
    assert texts(result, "passages") == ["the longest"] and texts(result, "text") == ["the longest q"], result.get_response()
    only = client.infer(args.model, request(module), outputs=[module.InferRequestedOutput("why")])
    assert texts(only, "why") == ["stop"] and only.as_numpy("text") is None
    try:
        client.infer(args.model, request(module)[:1])
        raise SystemExit("a request without documents was taken")
    except InferenceServerException as e:
        assert 'input "documents" is missing' in str(e), e

answers = queue.Queue()
over_grpc.start_stream(lambda result, error: answers.put((result, error)))
over_grpc.async_stream_infer(args.model, request(grpc, True), request_id="s1", enable_empty_final_response=True)
parts, passages = [], []
while True:
    result, error = answers.get(timeout=60)
    assert error is None, error
    response = result.get_response()
    if result.as_numpy("passages") is not None:
        passages += texts(result, "passages")
    if response.outputs:
        parts += texts(result, "text")
    if response.parameters["triton_final_response"].bool_param:
        break
over_grpc.stop_stream()
assert len(parts) > 1 and "".join(parts) == "the longest q" and passages == ["the longest"], (parts, passages)
assert over_grpc.get_inference_statistics(args.model).model_stats[0].inference_count >= 5
print("ok")
