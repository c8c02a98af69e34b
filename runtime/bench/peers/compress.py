"""Writes a checkpoint in the compressed-tensors format, which vLLM reads: int8 (a scale for each channel, inputs quantized token by token) or int4
(groups of 64, inputs as they are). Codes are the nearest, nothing is calibrated: it is for speed, not for quality.  compress.py SOURCE DESTINATION int8|int4"""
import glob
import json
import os
import shutil
import sys

import torch
from safetensors import safe_open
from safetensors.torch import save_file

GROUP = 64
SCHEMES = {
    "int8": {
        "format": "int-quantized",
        "weights": {"num_bits": 8, "type": "int", "symmetric": True, "strategy": "channel", "dynamic": False},
        "inputs": {"num_bits": 8, "type": "int", "symmetric": True, "strategy": "token", "dynamic": True},
    },
    "int4": {
        "format": "pack-quantized",
        "weights": {"num_bits": 4, "type": "int", "symmetric": True, "strategy": "group", "group_size": GROUP, "dynamic": False},
        "inputs": None,
    },
}


def int8(name, weight):
    scale = (weight.abs().amax(1, keepdim=True) / 127).clamp_min(1e-8)
    yield name + ".weight", (weight / scale).round().clamp(-128, 127).to(torch.int8)
    yield name + ".weight_scale", scale


def int4(name, weight):
    rows, columns = weight.shape
    groups = weight.view(rows, columns // GROUP, GROUP)
    scale = (groups.abs().amax(2, keepdim=True) / 7).clamp_min(1e-8)
    codes = ((groups / scale).round().clamp(-8, 7) + 8).to(torch.int32).view(rows, columns // 8, 8)
    packed = torch.zeros(rows, columns // 8, dtype=torch.int32)
    for i in range(8):
        packed |= codes[:, :, i] << (4 * i)
    yield name + ".weight_packed", packed
    yield name + ".weight_scale", scale.squeeze(2).to(torch.bfloat16)
    yield name + ".weight_shape", torch.tensor([rows, columns], dtype=torch.int64)


def tensors(source, quantize):
    for path in sorted(glob.glob(source + "/*.safetensors")):
        with safe_open(path, "pt") as file:
            for name in file.keys():
                weight = file.get_tensor(name)
                if name.startswith("model.layers.") and name.endswith("proj.weight"):
                    yield from quantize(name.removesuffix(".weight"), weight.float())
                else:
                    yield name, weight


def main(source, destination, kind):
    os.makedirs(destination, exist_ok=True)
    for path in glob.glob(source + "/*.json") + glob.glob(source + "/*.jinja"):
        if not path.endswith("index.json"):
            shutil.copy(path, destination)
    save_file(dict(tensors(source, {"int8": int8, "int4": int4}[kind])), destination + "/model.safetensors", metadata={"format": "pt"})
    scheme = SCHEMES[kind]
    with open(source + "/config.json") as file:
        config = json.load(file)
    config["quantization_config"] = {
        "quant_method": "compressed-tensors",
        "format": scheme["format"],
        "quantization_status": "compressed",
        "ignore": ["lm_head"],
        "config_groups": {"group_0": {"targets": ["Linear"], "weights": scheme["weights"], "input_activations": scheme["inputs"]}},
    }
    with open(destination + "/config.json", "w") as file:
        json.dump(config, file, indent=2)


main(*sys.argv[1:])
