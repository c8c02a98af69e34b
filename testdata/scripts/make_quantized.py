"""Makes tiny checkpoints that are quantized already, with logits of the model that their codes stand for.

    pip install torch==2.15.0 transformers==5.23.0 safetensors==0.8.0
    python testdata/scripts/make_quantized.py [NAME ...]

testdata/quantized/NAME   a Llama of one layer, or a Mixtral (moe-...); golden.json, golden.safetensors: logits in float32 of the dequantized weights

The packers follow the definitions of the formats (AutoGPTQ's and AutoAWQ's layouts, compressed-tensors, bitsandbytes), one element at a
time; those of NVFP4 that of NVIDIA's Model Optimizer. Weights are made of random codes with a fixed seed, so nothing is lost on the way, and what a row of CASES leaves open is the default.
"""

import json
import pathlib
import shutil
import sys

import torch
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM, MixtralConfig, MixtralForCausalLM

ROOT = pathlib.Path(__file__).resolve().parents[2] / "testdata" / "quantized"
CONFIG = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 48, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 1,
    "num_attention_heads": 2, "num_key_value_heads": 1, "hidden_act": "silu", "max_position_embeddings": 64, "rms_norm_eps": 1e-06,
    "bos_token_id": 1, "eos_token_id": 2, "torch_dtype": "bfloat16", "tie_word_embeddings": False,
}
ODD = CONFIG | {"hidden_size": 72, "intermediate_size": 104}
HALVES = CONFIG | {"hidden_size": 80, "intermediate_size": 112}  # an odd number of groups of 16
MIXTURE = CONFIG | {"architectures": ["MixtralForCausalLM"], "model_type": "mixtral", "num_local_experts": 3, "num_experts_per_tok": 2}
AWQ_ORDER = [0, 2, 4, 6, 1, 3, 5, 7]
NF4 = [-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0,
       0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0]
E2M1 = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, -0.0, -0.5, -1.0, -1.5, -2.0, -3.0, -4.0, -6.0]
FP4 = [0.0, 0.0052083333, 0.66666667, 1.0, 0.33333333, 0.5, 0.16666667, 0.25, 0.0, -0.0052083333, -0.66666667, -1.0, -0.33333333, -0.5, -0.16666667, -0.25]


def words(rows, bits, order=None):
    """Packs the last axis of codes into 32-bit words, the first code lowest."""
    per = 32 // bits
    rows = torch.nn.functional.pad(rows, (0, -rows.shape[-1] % per))
    out = torch.zeros(*rows.shape[:-1], rows.shape[-1] // per, dtype=torch.int64)
    for i in range(per):
        out |= rows[..., (order[i] if order else i)::per].to(torch.int64) << (bits * i)
    return torch.where(out >= 2**31, out - 2**32, out).to(torch.int32)


class Random:
    def __init__(self, seed):
        self.g = torch.Generator().manual_seed(seed)

    def codes(self, *shape, low, high):
        return torch.randint(low, high + 1, shape, generator=self.g)

    def scales(self, *shape, dtype, size):
        return (size * (0.5 + torch.rand(shape, generator=self.g))).to(dtype)

    def groups(self, cols, group, shuffled):
        """The group of each input, and so many groups."""
        group = cols if group < 0 else group
        index = torch.arange(cols) // group
        if shuffled:
            index = index[torch.randperm(cols, generator=self.g)]
        return index.to(torch.int32), -(-cols // group)


def gptq(r, n, k, bits, group, sym, desc_act, v2):
    index, groups = r.groups(k, group, desc_act)
    half, most = 2 ** (bits - 1), 2**bits - 1
    codes = r.codes(n, k, low=0, high=most)
    zeros = torch.full((n, groups), half) if sym else r.codes(n, groups, low=1, high=most)
    scales = r.scales(n, groups, dtype=torch.float16, size=0.2 / half)
    parts = {"qweight": words(codes, bits).T, "qzeros": words(zeros.T - (0 if v2 else 1), bits), "scales": scales.T, "g_idx": index}
    return (codes - zeros[:, index.long()]) * scales.float()[:, index.long()], parts


def awq(r, n, k, group):
    index, groups = r.groups(k, group, False)
    codes, zeros = r.codes(n, k, low=0, high=15), r.codes(n, groups, low=0, high=15)
    scales = r.scales(n, groups, dtype=torch.float16, size=0.025)
    parts = {"qweight": words(codes.T, 4, AWQ_ORDER), "qzeros": words(zeros.T, 4, AWQ_ORDER), "scales": scales.T}
    return (codes - zeros[:, index.long()]) * scales.float()[:, index.long()], parts


def float8(r, n, k, strategy, scale_name, static):
    codes = torch.randn(n, k, generator=r.g).mul(100).to(torch.float8_e4m3fn)
    shape = {"tensor": (), "channel": (n, 1), "block": (-(-n // 128), -(-k // 128))}[strategy]
    scales = r.scales(*shape, dtype=torch.float32, size=0.001)
    wide = scales if strategy != "block" else scales.repeat_interleave(128, 0)[:n].repeat_interleave(128, 1)[:, :k]
    parts = {"weight": codes, scale_name: scales}
    if static:
        parts["input_scale"] = torch.tensor(0.01)
    return codes.float() * wide, parts


def integers(r, n, k, bits, strategy, group, symmetric, packed, actorder, static):
    index, groups = r.groups(k, group if strategy == "group" else -1, actorder)
    half = 2 ** (bits - 1)
    codes = r.codes(n, k, low=-half, high=half - 1)
    shape = (1,) if strategy == "tensor" else (n, groups)
    scales = r.scales(*shape, dtype=torch.bfloat16, size=0.2 / half)
    zeros = torch.zeros(shape, dtype=torch.int64) if symmetric else r.codes(*shape, low=-half, high=half - 1)
    wide = lambda x: x if strategy == "tensor" else x[:, index.long()]
    parts = {"weight_scale": scales}
    if packed:
        parts |= {"weight_packed": words(codes + half, bits), "weight_shape": torch.tensor([n, k])}
        if not symmetric:
            parts["weight_zero_point"] = words((zeros + half).T, bits).T
    else:
        parts["weight"] = codes.to(torch.int8)
        if not symmetric:
            parts["weight_zero_point"] = zeros.to(torch.int8)
    if actorder:
        parts["weight_g_idx"] = index
    if static:
        parts["input_scale"] = torch.tensor([0.02])
    return (codes - wide(zeros)) * wide(scales.float()), parts


def nvfp4(r, n, k, divided):
    """Codes of e2m1, a scale of e4m3 per 16 inputs and one of float32, which is stored inverted by compressed-tensors."""
    codes = r.codes(n, k, low=0, high=15)
    scales = torch.rand(n, k // 16, generator=r.g).mul(440).to(torch.float8_e4m3fn)
    of = r.scales(1, dtype=torch.float32, size=0.2 / 6 / 250)
    packed = (codes[:, 1::2] << 4 | codes[:, 0::2]).to(torch.uint8)
    if divided:
        parts = {"weight_packed": packed, "weight_scale": scales, "weight_global_scale": 1 / of, "input_global_scale": torch.tensor([300.0])}
    else:
        parts = {"weight": packed, "weight_scale": scales, "weight_scale_2": of[0], "input_scale": torch.tensor(0.003)}
    wide = (scales.float() * of).repeat_interleave(16, 1)
    return torch.tensor(E2M1)[codes] * wide, parts


def mxfp4(r, n, k):
    """Codes of e2m1 and an exponent of two per 32 inputs."""
    codes, exponents = r.codes(n, k, low=0, high=15), r.codes(n, k // 32, low=119, high=123)
    parts = {"weight_packed": (codes[:, 1::2] << 4 | codes[:, 0::2]).to(torch.uint8), "weight_scale": exponents.to(torch.uint8)}
    return torch.tensor(E2M1)[codes] * torch.exp2(exponents - 127.0).repeat_interleave(32, 1), parts


def table(r, n, k, kind, nested, block=64):
    levels = torch.tensor(NF4 if kind == "nf4" else FP4)
    codes = r.codes(n * k, low=0, high=15)
    blocks = -(-n * k // block)
    state = {"quant_type": kind, "blocksize": block, "dtype": "bfloat16", "shape": [n, k]}
    parts = {"weight": (codes[0::2] << 4 | codes[1::2]).to(torch.uint8).reshape(-1, 1), "weight.quant_map": levels}
    if nested:
        outer, inner = r.scales(-(-blocks // 256), dtype=torch.float32, size=0.1), torch.linspace(-1, 1, 256)
        absmax = r.codes(blocks, low=0, high=255)
        scales = inner[absmax] * outer[torch.arange(blocks) // 256] + 0.2
        parts |= {"weight.absmax": absmax.to(torch.uint8), "weight.nested_absmax": outer, "weight.nested_quant_map": inner}
        state |= {"nested_blocksize": 256, "nested_dtype": "float32", "nested_offset": 0.2}
    else:
        scales = parts["weight.absmax"] = r.scales(blocks, dtype=torch.float32, size=0.2)
    text = json.dumps(state).encode()
    parts[f"weight.quant_state.bitsandbytes__{kind}"] = torch.tensor(list(text), dtype=torch.uint8)
    return (levels[codes] * scales[torch.arange(n * k) // block]).reshape(n, k), parts


def compressed(format, type, **weights):
    scheme = {"num_bits": 8, "type": type, "strategy": "channel", "symmetric": True, "dynamic": False, "group_size": None, "actorder": None, **weights}
    return {"quant_method": "compressed-tensors", "format": format, "ignore": ["lm_head"], "quantization_status": "compressed",
            "config_groups": {"group_0": {"targets": ["Linear"], "weights": scheme, "input_activations": None, "output_activations": None}}}


def gptq_case(bits, group, sym=True, desc_act=False, v2=False):
    config = {"quant_method": "gptq", "bits": bits, "group_size": group, "sym": sym, "desc_act": desc_act, "checkpoint_format": "gptq_v2" if v2 else "gptq"}
    return config, lambda r, n, k: gptq(r, n, k, bits, group, sym, desc_act, v2)


def int_case(format, bits, strategy="channel", group=None, symmetric=True, actorder=False, static=False):
    config = compressed(format, "int", num_bits=bits, strategy=strategy, group_size=group, symmetric=symmetric, actorder="group" if actorder else None)
    return config, lambda r, n, k: integers(r, n, k, bits, strategy, group, symmetric, format == "pack-quantized", actorder, static)


def bnb_case(kind, nested, block=64):
    config = {"quant_method": "bitsandbytes", "load_in_4bit": True, "load_in_8bit": False, "bnb_4bit_quant_type": kind, "bnb_4bit_use_double_quant": nested}
    return config, lambda r, n, k: table(r, n, k, kind, nested, block)


def bnb8_case():
    def pack(r, n, k):
        codes, most = r.codes(n, k, low=-127, high=127), r.scales(n, dtype=torch.float32, size=0.2)
        return codes * (most / 127)[:, None], {"weight": codes.to(torch.int8), "SCB": most}
    return {"quant_method": "bitsandbytes", "load_in_8bit": True}, pack


def modelopt(algorithm, **keys):
    bits = 8 if algorithm == "FP8" else 4
    scheme = {"dynamic": False, "num_bits": bits, "type": "float"} | ({"group_size": 16} if bits == 4 else {})
    return {"quant_method": "modelopt", "quant_algo": algorithm, "ignore": ["lm_head"], "kv_cache_scheme": {"dynamic": False, "num_bits": 8, "type": "float"},
            "config_groups": {"group_0": {"input_activations": scheme, "weights": scheme, "targets": ["Linear"]}}, "producer": {"name": "modelopt", "version": "0.33.0"}, **keys}


CASES = {
    "gptq-int4-channel-v2": gptq_case(4, -1, v2=True),
    "gptq-int4-g32-asym-actorder": gptq_case(4, 32, sym=False, desc_act=True),
    "gptq-int4-g64-asym-v2": gptq_case(4, 64, sym=False, v2=True),
    "gptq-int8-channel": gptq_case(8, -1),
    "gptq-int8-g32-asym-v2": gptq_case(8, 32, sym=False, v2=True),
    "awq-int4-g32": ({"quant_method": "awq", "bits": 4, "group_size": 32, "version": "gemm", "zero_point": True}, lambda r, n, k: awq(r, n, k, 32)),
    "fp8-tensor-static": ({"quant_method": "fp8", "activation_scheme": "static"}, lambda r, n, k: float8(r, n, k, "tensor", "weight_scale", True)),
    "ct-fp8-tensor-static": (compressed("float-quantized", "float", strategy="tensor"), lambda r, n, k: float8(r, n, k, "tensor", "weight_scale", True)),
    "ct-fp8-block": (compressed("float-quantized", "float", strategy="block", block_structure=[128, 128]),
                     lambda r, n, k: float8(r, n, k, "block", "weight_scale", False)),
    "ct-int4-g32-asym-actorder": int_case("pack-quantized", 4, "group", 32, symmetric=False, actorder=True),
    "ct-int4-channel": int_case("pack-quantized", 4),
    "ct-int8-packed-channel": int_case("pack-quantized", 8),
    "ct-int8-tensor-static": int_case("int-quantized", 8, "tensor", static=True),
    "ct-int8-channel-asym": int_case("int-quantized", 8, symmetric=False),
    "bnb-fp4": bnb_case("fp4", False),
    "bnb-nf4-nested": bnb_case("nf4", True),
    "gptq-int8-g32-actorder": gptq_case(8, 32, desc_act=True),
    "moe-awq-int4-g32": ({"quant_method": "awq", "bits": 4, "group_size": 32, "version": "gemm", "zero_point": True}, lambda r, n, k: awq(r, n, k, 32)),
    "moe-fp8-tensor-static": ({"quant_method": "fp8", "activation_scheme": "static"}, lambda r, n, k: float8(r, n, k, "tensor", "weight_scale", True)),
    "moe-gptq-int8-channel": gptq_case(8, -1),
    "moe-gptq-int4-g32-actorder": gptq_case(4, 32, desc_act=True),
    "moe-gptq-int8-g32-actorder": gptq_case(8, 32, sym=False, desc_act=True),
    "moe-ct-int8-g32": int_case("int-quantized", 8, "group", 32),
    "moe-bnb-int8": bnb8_case(),
    "moe-bnb-fp4-nested": bnb_case("fp4", True),
    "moe-ct-int4-channel": int_case("pack-quantized", 4),
    "moe-ct-fp8-block": (compressed("float-quantized", "float", strategy="block", block_structure=[128, 128]),
                         lambda r, n, k: float8(r, n, k, "block", "weight_scale", False)),
    "moe-bnb-nf4": bnb_case("nf4", False),
    "bnb-fp4-b128": bnb_case("fp4", False, 128),
    "bnb-nf4-odd": bnb_case("nf4", True),
    "gptq-int4-g24-asym": gptq_case(4, 24, sym=False),
    "modelopt-nvfp4": (modelopt("NVFP4"), lambda r, n, k: nvfp4(r, n, k, False)),
    "ct-nvfp4-halves": (compressed("nvfp4-pack-quantized", "float", num_bits=4, strategy="tensor_group", group_size=16), lambda r, n, k: nvfp4(r, n, k, True)),
    "ct-mxfp4": (compressed("mxfp4-pack-quantized", "float", num_bits=4, strategy="group", group_size=32), lambda r, n, k: mxfp4(r, n, k)),
    "modelopt-fp8": (modelopt("FP8"), lambda r, n, k: float8(r, n, k, "tensor", "weight_scale", True)),
    "moe-modelopt-nvfp4": (modelopt("NVFP4"), lambda r, n, k: nvfp4(r, n, k, False)),
}


def experts(key, w):
    """The matrices of a tensor that holds those of all experts, and their names in files."""
    layer, _, kind = key.partition("mlp.experts.")
    for e, all in enumerate(w):
        parts = zip(("w1", "w3"), all.chunk(2)) if kind == "gate_up_proj" else [("w2", all)]
        for part, matrix in parts:
            yield f"{layer}block_sparse_moe.experts.{e}.{part}.", matrix


def make(name, seed, config, pack):
    out = ROOT / name
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    torch.manual_seed(seed)
    keys = MIXTURE if name.startswith("moe-") else ODD if name.endswith("-odd") else HALVES if name.endswith("-halves") else CONFIG
    kind = (MixtralConfig, MixtralForCausalLM) if keys is MIXTURE else (LlamaConfig, LlamaForCausalLM)
    model = kind[1](kind[0](**keys, attn_implementation="eager")).float().eval()
    tensors, r = {}, Random(seed)
    with torch.no_grad():
        for key, w in model.named_parameters():
            if w.dim() == 3 or key.endswith("_proj.weight"):
                for prefix, matrix in experts(key, w) if w.dim() == 3 else [(key.removesuffix("weight"), w)]:
                    numbers, parts = pack(r, *matrix.shape)
                    matrix.copy_(numbers)
                    tensors |= {prefix + part: t.contiguous() for part, t in parts.items()}
                    if config["quant_method"] == "modelopt" and key.endswith(("k_proj.weight", "v_proj.weight")):
                        tensors[prefix + key[-len("k_proj.weight")] + "_scale"] = torch.tensor(1.5)  # of the cache
            else:
                w.copy_((w if w.dim() == 2 else 1 + 0.1 * torch.randn(w.shape, generator=r.g)).to(torch.bfloat16))
                if key.endswith("mlp.gate.weight"):
                    w.mul_(8)  # experts far enough apart that rounding does not choose
                tensors[key.replace("mlp.gate", "block_sparse_moe.gate")] = w.detach().to(torch.bfloat16)
        ids = r.codes(1, 9, low=3, high=47)
        logits = model(ids, use_cache=False).logits[0]
    save_file(tensors, out / "model.safetensors", metadata={"format": "pt"})
    save_file({"logits": logits.contiguous()}, out / "golden.safetensors")
    (out / "config.json").write_text(json.dumps({**keys, "quantization_config": config}, indent=1) + "\n")
    (out / "golden.json").write_text(json.dumps({"ids": ids[0].tolist()}) + "\n")


for seed, (name, (config, pack)) in enumerate(CASES.items()):
    if len(sys.argv) < 2 or name in sys.argv[1:]:
        make(name, seed, config, pack)
