"""Makes a checkpoint of Llama's shape that takes next to no time, with random weights in bf16: what a server of it takes is what its host does for each token.
The tokenizer is another checkpoint's. Needs nothing but Python.
tiny.py TOKENIZER DIRECTORY"""
import array
import json
import os
import random
import shutil
import struct
import sys

HIDDEN, LAYERS, HEADS, HEAD_DIM, INNER = 64, 2, 2, 32, 128


def shapes(vocabulary):
    yield "model.embed_tokens.weight", (vocabulary, HIDDEN)
    yield "model.norm.weight", (HIDDEN,)
    for i in range(LAYERS):
        layer = "model.layers.%d." % i
        for name in ("input_layernorm", "post_attention_layernorm"):
            yield layer + name + ".weight", (HIDDEN,)
        for name in "qkv":
            yield layer + "self_attn.%s_proj.weight" % name, (HEADS * HEAD_DIM, HIDDEN)
        yield layer + "self_attn.o_proj.weight", (HIDDEN, HEADS * HEAD_DIM)
        for name in ("gate", "up"):
            yield layer + "mlp.%s_proj.weight" % name, (INNER, HIDDEN)
        yield layer + "mlp.down_proj.weight", (HIDDEN, INNER)


def bf16(values):
    """The upper halves of floats."""
    return array.array("H", [struct.unpack("<I", struct.pack("<f", v))[0] >> 16 for v in values]).tobytes()


def main(tokenizer, directory):
    with open(os.path.join(tokenizer, "config.json")) as f:
        config = json.load(f)
    os.makedirs(directory, exist_ok=True)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json"):
        shutil.copy(os.path.join(tokenizer, name), directory)
    config.update(hidden_size=HIDDEN, num_hidden_layers=LAYERS, num_attention_heads=HEADS, num_key_value_heads=HEADS, head_dim=HEAD_DIM, intermediate_size=INNER)
    draw, header, data = random.Random(1), {}, b""
    for name, shape in shapes(config["vocab_size"]):
        if len(shape) == 1:
            part = bf16([1.0] * shape[0])
        else:
            part = bf16(draw.gauss(0, 1 / shape[1] ** 0.5) for _ in range(shape[0] * shape[1]))
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [len(data), len(data) + len(part)]}
        data += part
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(os.path.join(directory, "model.safetensors"), "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + data)
    with open(os.path.join(directory, "config.json"), "w") as f:
        json.dump(config, f, indent=2)


main(*sys.argv[1:])
