"""Compresses the weights of a model that optimum-cli has exported for OpenVINO, by NNCF, with windows of a file of text where a method looks at inputs (optimum-cli takes
names of data sets only).

    python compress_openvino.py EXPORTED OUT int8
    python compress_openvino.py EXPORTED OUT int4 --all-layers --text calib.txt --awq --scale-estimation --gptq

EXPORTED has openvino_model.xml and tokenizer.json. Windows are of 512 tokens and lie evenly over the text. Without --all-layers the embedding and the head get 8 bits.
"""

import argparse
import pathlib

import nncf
import numpy
import openvino
from tokenizers import Tokenizer

WINDOW = 512


def samples(tokenizer, text, windows):
    """Inputs of the exported model: so many windows of the text."""
    ids = Tokenizer.from_file(str(tokenizer)).encode(text.read_text(), add_special_tokens=False).ids
    whole = len(ids) // WINDOW
    windows = min(windows, whole)
    for i in range(windows):
        at = i * whole // windows * WINDOW
        row = numpy.array([ids[at : at + WINDOW]], dtype=numpy.int64)
        positions = numpy.arange(WINDOW, dtype=numpy.int64)[None]
        yield {"input_ids": row, "attention_mask": numpy.ones_like(row), "position_ids": positions, "beam_idx": numpy.zeros(1, dtype=numpy.int32)}


def compress(model, a):
    if a.format == "int8":
        return nncf.compress_weights(model, mode=nncf.CompressWeightsMode.INT8_ASYM)
    how = {}
    if a.text:
        windows = list(samples(a.exported / "tokenizer.json", a.text, a.windows))
        how = {"dataset": nncf.Dataset(windows), "subset_size": len(windows), "awq": a.awq, "scale_estimation": a.scale_estimation, "gptq": a.gptq}
    mode = nncf.CompressWeightsMode.INT4_ASYM if a.asym else nncf.CompressWeightsMode.INT4_SYM
    return nncf.compress_weights(model, mode=mode, ratio=1.0, group_size=a.group, all_layers=a.all_layers, **how)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("exported", type=pathlib.Path)
    p.add_argument("out", type=pathlib.Path)
    p.add_argument("format", choices=["int8", "int4"])
    p.add_argument("--group", type=int, default=32)
    p.add_argument("--windows", type=int, default=36)
    p.add_argument("--text", type=pathlib.Path, help="without it nothing is calibrated")
    for name in ("--asym", "--all-layers", "--awq", "--scale-estimation", "--gptq"):
        p.add_argument(name, action="store_true")
    a = p.parse_args()
    if not a.text and (a.awq or a.scale_estimation or a.gptq):
        p.error("methods that look at inputs want --text")
    model = openvino.Core().read_model(a.exported / "openvino_model.xml")
    a.out.mkdir(parents=True, exist_ok=True)
    openvino.save_model(compress(model, a), a.out / "openvino_model.xml", compress_to_fp16=True)


if __name__ == "__main__":
    main()
