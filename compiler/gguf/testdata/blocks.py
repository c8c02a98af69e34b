#!/usr/bin/env python3
"""Writes blocks.safetensors: for each format random blocks and the numbers that the gguf package (PyPI, 0.17 or later) makes of them.

Bytes are random, so that every bit of a block counts; the f16 scales among them are replaced by finite ones.
Run beside it: python3 blocks.py (needs gguf, numpy, safetensors)."""
import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType as T
from gguf.quants import dequantize
from safetensors.numpy import save_file

# Places of the f16 numbers in a block.
HALVES = {
    T.Q4_0: [0], T.Q4_1: [0, 2], T.Q5_0: [0], T.Q5_1: [0, 2], T.Q8_0: [0], T.Q2_K: [80, 82], T.Q3_K: [108],
    T.Q4_K: [0, 2], T.Q5_K: [0, 2], T.Q6_K: [208], T.IQ4_NL: [0], T.MXFP4: [], T.NVFP4: [],
}
rng = np.random.default_rng(1)
out = {}
for kind, places in HALVES.items():
    elements, size = GGML_QUANT_SIZES[kind]
    count = max(3, 384 // elements)
    blocks = rng.integers(0, 256, (count, size), dtype=np.uint8)
    for at in places:
        scales = (rng.standard_normal((count, 1)) * 0.01).astype(np.float16)
        scales[1] = np.float16(6e-8)  # the least there is
        blocks[:, at : at + 2] = scales.view(np.uint8)
    if kind == T.MXFP4:  # an exponent, whose power of two is to be a usual number
        blocks[:, 0] = blocks[:, 0] % 32 + 110
    if kind == T.NVFP4:  # scales without a sign
        blocks[:, :4] %= 128
    out[f"{kind.name}.blocks"] = blocks
    out[f"{kind.name}.numbers"] = dequantize(blocks, kind).astype(np.float32)
save_file(out, "blocks.safetensors")
