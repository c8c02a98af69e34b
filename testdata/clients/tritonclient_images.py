"""Sends image files to a model that labels images with the unmodified tritonclient package: python tritonclient_images.py ADDRESS KEY MODEL FILE..."""

import sys

import numpy as np
import tritonclient.http as http

address, key, model, files = sys.argv[1].removeprefix("http://"), sys.argv[2], sys.argv[3], sys.argv[4:]
headers = {"Authorization": "Bearer " + key}
client = http.InferenceServerClient(address)
inputs = client.get_model_metadata(model, headers=headers)["inputs"]
assert [i["name"] for i in inputs] == ["image", "pixel_values"], inputs

contents = []
for name in files:
    with open(name, "rb") as f:
        contents.append([f.read()])
images = http.InferInput("image", [len(files), 1], "BYTES")
images.set_data_from_numpy(np.array(contents, dtype=object))
together = client.infer(model, [images], headers=headers).as_numpy("logits")
assert together.shape[0] == len(files) and np.isfinite(together).all(), together
for i, content in enumerate(contents):
    alone = http.InferInput("image", [1, 1], "BYTES")
    alone.set_data_from_numpy(np.array([content], dtype=object))
    row = client.infer(model, [alone], headers=headers).as_numpy("logits")[0]
    assert (row == together[i]).all(), (row, together[i])

shape = [2] + inputs[1]["shape"][1:]
pixels = http.InferInput("pixel_values", shape, "FP32")
pixels.set_data_from_numpy(np.linspace(-1, 1, int(np.prod(shape)), dtype=np.float32).reshape(shape))
rows = client.infer(model, [pixels], headers=headers).as_numpy("logits")
assert rows.shape == (2, together.shape[1]) and np.isfinite(rows).all(), rows
print("tritonclient: %d labels of %d images, the same alone and together" % (together.shape[1], len(files)))
