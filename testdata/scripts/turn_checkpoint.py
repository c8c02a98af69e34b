"""Turns the residual stream of a Llama checkpoint by a random orthogonal matrix: the same function, other numbers.

Weights that were made of the codes of a 4-bit file lie on its grid, which a format of 4 bits finds again, so what a format loses can not be measured on them. After the weights
of the norms have gone into the products behind them, the stream between all layers can be turned: with Q orthogonal, tables and what is added to the stream become W Q, what
reads it W Q too. The head becomes a matrix of its own. Numbers are rounded once, to the given type, at the end.

    python turn_checkpoint.py MODEL OUT [--seed 1] [--dtype bfloat16] [--check]

--check compares the logits of both, with float32 weights, on a few tokens.
"""

import argparse
import json
import pathlib
import shutil

import torch
from safetensors.torch import load_file, save_file


def turned(weights, config, seed):
    d = config["hidden_size"]
    generator = torch.Generator().manual_seed(seed)
    q, r = torch.linalg.qr(torch.randn(d, d, dtype=torch.float64, generator=generator))
    q = q * torch.sign(torch.diagonal(r))
    w = {name: t.double() for name, t in weights.items()}
    embed = w["model.embed_tokens.weight"]
    head = w.get("lm_head.weight", embed)
    out = {"model.embed_tokens.weight": embed @ q, "lm_head.weight": (head * w["model.norm.weight"]) @ q}
    out["model.norm.weight"] = torch.ones(d, dtype=torch.float64)
    for i in range(config["num_hidden_layers"]):
        p = f"model.layers.{i}."
        for norm, readers in (
            ("input_layernorm", ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")),
            ("post_attention_layernorm", ("mlp.gate_proj", "mlp.up_proj")),
        ):
            scale = w[p + norm + ".weight"]
            out[p + norm + ".weight"] = torch.ones(d, dtype=torch.float64)
            for name in readers:
                out[p + name + ".weight"] = (w[p + name + ".weight"] * scale) @ q
        for name in ("self_attn.o_proj", "mlp.down_proj"):
            out[p + name + ".weight"] = q.T @ w[p + name + ".weight"]
    if set(out) - {"lm_head.weight"} != set(w) - {"lm_head.weight"}:
        raise SystemExit(f"tensors that this script does not know: {sorted(set(w) - set(out))}")
    return out


def logits(config, weights):
    from transformers import LlamaConfig, LlamaForCausalLM

    model = LlamaForCausalLM(LlamaConfig(**config)).float()
    model.load_state_dict({k: v.float() for k, v in weights.items()}, strict=False)
    model.tie_weights()
    ids = torch.arange(7, 7 + 32).unsqueeze(0)
    with torch.no_grad():
        return model(ids).logits


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model", type=pathlib.Path)
    p.add_argument("out", type=pathlib.Path)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--dtype", default="bfloat16", choices=["float32", "bfloat16", "float16"])
    p.add_argument("--check", action="store_true")
    a = p.parse_args()
    config = json.loads((a.model / "config.json").read_text())
    if config.get("model_type") != "llama":
        raise SystemExit(f"{a.model}: {config.get('model_type')} models are not turned by this script, llama ones are")
    weights = load_file(a.model / "model.safetensors")
    out = turned(weights, config, a.seed)
    new = dict(config, tie_word_embeddings=False)
    if a.check:
        with_head = weights if "lm_head.weight" in weights else dict(weights, **{"lm_head.weight": weights["model.embed_tokens.weight"]})
        want, got = logits(dict(config, tie_word_embeddings=False), with_head), logits(new, out)
        print(f"logits differ by {float((got - want).abs().max() / (want.max() - want.min())):.2g} of their range")
    a.out.mkdir(parents=True, exist_ok=True)
    for f in a.model.iterdir():
        if f.is_file() and f.name not in ("config.json", "model.safetensors"):
            shutil.copy(f, a.out / f.name)
    dtype = getattr(torch, a.dtype)
    save_file({k: v.to(dtype).contiguous() for k, v in out.items()}, a.out / "model.safetensors", metadata={"format": "pt"})
    key = "dtype" if "dtype" in config else "torch_dtype"
    (a.out / "config.json").write_text(json.dumps(dict(new, **{key: a.dtype}), indent=2) + "\n")


if __name__ == "__main__":
    main()
