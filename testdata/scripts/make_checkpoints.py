"""Makes the recorded data that Go tests compare with, from other people's software.

    pip install torch==2.15.0 transformers==5.23.0 safetensors==0.8.0
    python testdata/scripts/make_checkpoints.py [NAME ...]

testdata/checkpoints/NAME          tiny models whose config.json says what larger conformance data leaves out
compiler/models/testdata/rope.json frequencies and attention factors of rotary embeddings
compiler/hf/testdata/              one safetensors file with every element type, and its numbers

Weights are random with fixed seeds. Goldens are computed in float32 with eager attention and without a cache.
"""

import json
import pathlib
import shutil
import sys

import torch
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROMPTS = {"p1": 1, "p7": 7, "p33": 33, "p100": 100}
STEPS = 16

BASE = {
    "vocab_size": 47, "hidden_size": 32, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "hidden_act": "silu", "max_position_embeddings": 512, "rms_norm_eps": 1e-06,
    "bos_token_id": 1, "eos_token_id": 2, "torch_dtype": "bfloat16", "use_cache": True, "tie_word_embeddings": False,
}


def causal(model_type, architecture, **keys):
    return {"architectures": [architecture], "model_type": model_type, **BASE, **keys}


def llama(**keys):
    return causal("llama", "LlamaForCausalLM", **keys)


# Each row: what it is for, its config.json, and whether tensor names lack "model.".
CHECKPOINTS = {
    # the old spelling; lengths beyond max_position_embeddings; biases everywhere
    "llama-dynamic": (llama(attention_bias=True, mlp_bias=True, max_position_embeddings=48, rope_theta=1000.0,
                            rope_scaling={"type": "dynamic", "factor": 2.5}), False),
    # every key of yarn that transformers reads, a size of head of its own, float16
    "llama-yarn": (llama(head_dim=12, torch_dtype="float16", rope_theta=10000.0,
                         rope_scaling={"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32, "attention_factor": 1.25,
                                       "beta_fast": 8, "beta_slow": 0.5, "truncate": False, "finetuned": True}), False),
    # short factors up to 40 positions, long ones beyond; the original length beside the object
    "llama-longrope": (llama(max_position_embeddings=160, original_max_position_embeddings=40, rope_theta=500.0,
                             rope_scaling={"rope_type": "longrope", "short_factor": [1.0, 1.1, 1.3, 1.7],
                                           "long_factor": [1.5, 2.5, 4.0, 7.0]}), False),
    # as transformers 5 writes files: rope_parameters, dtype; yarn with mscale; a window
    "mistral-v5": ({k: v for k, v in causal(
        "mistral", "MistralForCausalLM", head_dim=8, sliding_window=12, dtype="bfloat16", transformers_version="5.23.0",
        rope_parameters={"rope_type": "yarn", "rope_theta": 5000.0, "factor": 8.0, "original_max_position_embeddings": 64, "mscale": 1.2,
                         "mscale_all_dim": 0.6}).items() if k != "torch_dtype"}, False),
    # windows from layer 1 on, tied, names without "model."
    "qwen2-windows": (causal("qwen2", "Qwen2ForCausalLM", use_sliding_window=True, sliding_window=10, max_window_layers=1,
                             num_hidden_layers=3, rope_theta=1000000.0, tie_word_embeddings=True), True),
    # layer_types decide, biases, another size of head
    "qwen3-v5": ({k: v for k, v in causal(
        "qwen3", "Qwen3ForCausalLM", head_dim=16, attention_bias=True, use_sliding_window=True, sliding_window=9, max_window_layers=28,
        layer_types=["sliding_attention", "full_attention"], dtype="bfloat16", transformers_version="5.23.0",
        rope_parameters={"rope_type": "default", "rope_theta": 30000.0}).items() if k != "torch_dtype"}, False),
    # ALiBi of a number of heads that is no power of two, a scale of scores of its own
    "mpt": ({"architectures": ["MptForCausalLM"], "model_type": "mpt", "d_model": 36, "n_heads": 6, "n_layers": 2, "vocab_size": 47,
             "expansion_ratio": 4, "max_seq_len": 256, "layer_norm_epsilon": 1e-05, "no_bias": True, "torch_dtype": "bfloat16",
             "attn_config": {"alibi": True, "alibi_bias_max": 8, "attn_impl": "torch", "softmax_scale": 0.3}}, False),
    # every multiplier
    "granite": (causal("granite", "GraniteForCausalLM", embedding_multiplier=6.0, attention_multiplier=0.2, residual_multiplier=0.4,
                       logits_scaling=3.0, attention_bias=True), False),
    # layers without rotary embedding, by the list; a window on them
    "smollm3": (causal("smollm3", "SmolLM3ForCausalLM", num_hidden_layers=3, no_rope_layers=[1, 0, 1], use_sliding_window=True,
                       sliding_window=14, rope_theta=50000.0, tie_word_embeddings=True, pad_token_id=0), False),
    # the same by the interval
    "smollm3-interval": (causal("smollm3", "SmolLM3ForCausalLM", num_hidden_layers=4, no_rope_layer_interval=2, mlp_bias=True, pad_token_id=0), False),
    # Falcon-RW: one block after the other, ALiBi, biases
    "falcon-rw": ({"architectures": ["FalconForCausalLM"], "model_type": "falcon", "vocab_size": 47, "hidden_size": 32, "num_attention_heads": 4,
                   "num_hidden_layers": 2, "alibi": True, "bias": True, "multi_query": False, "parallel_attn": False,
                   "new_decoder_architecture": False, "layer_norm_epsilon": 1e-05, "torch_dtype": "bfloat16"}, False),
    # one norm for both branches of the new architecture (Falcon 11B)
    "falcon-11b-style": ({"architectures": ["FalconForCausalLM"], "model_type": "falcon", "vocab_size": 47, "hidden_size": 32,
                          "num_attention_heads": 4, "num_kv_heads": 2, "num_hidden_layers": 2, "new_decoder_architecture": True,
                          "num_ln_in_parallel_attn": 1, "ffn_hidden_size": 72, "rope_theta": 500.0, "tie_word_embeddings": False,
                          "torch_dtype": "bfloat16"}, False),
    # attention and MLP beside each other behind one norm
    "stablelm-parallel": ({k: v for k, v in causal(
        "stablelm", "StableLmForCausalLM", use_parallel_residual=True, use_qkv_bias=False, layer_norm_eps=1e-05,
        partial_rotary_factor=0.5).items() if k != "rms_norm_eps"}, False),
    # attention and MLP one after the other; as transformers 5 writes files
    "gpt-neox-sequential": ({"architectures": ["GPTNeoXForCausalLM"], "model_type": "gpt_neox", "vocab_size": 47, "hidden_size": 32,
                             "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 2, "max_position_embeddings": 256,
                             "use_parallel_residual": False, "layer_norm_eps": 1e-05, "hidden_act": "gelu_new", "dtype": "bfloat16",
                             "tie_word_embeddings": False, "rope_parameters": {"rope_type": "default", "rope_theta": 5000.0,
                                                                               "partial_rotary_factor": 0.5}}, False),
    # Phi-4-mini: a part of each head turns, with frequencies that switch
    "phi3-partial": (causal("phi3", "Phi3ForCausalLM", max_position_embeddings=160, original_max_position_embeddings=40, hidden_size=64,
                            partial_rotary_factor=0.75, tie_word_embeddings=True, pad_token_id=0,
                            rope_scaling={"type": "longrope", "short_factor": [1.0, 1.1, 1.2, 1.3, 1.4, 1.5],
                                          "long_factor": [1.0, 1.5, 2.0, 3.0, 4.0, 6.0]}), False),
    # layers with a window turn, the others do not
    "cohere2": ({k: v for k, v in causal("cohere2", "Cohere2ForCausalLM", num_hidden_layers=3, sliding_window=11, sliding_window_pattern=3,
                                         logit_scale=0.5, layer_norm_eps=1e-05, rope_theta=3000.0, tie_word_embeddings=True,
                                         pad_token_id=0).items() if k != "rms_norm_eps"}, False),
    # yarn on the layers without a window alone
    "olmo3": (causal("olmo3", "Olmo3ForCausalLM", layer_types=["sliding_attention", "full_attention"], sliding_window=13, rope_theta=500000.0,
                     rope_scaling={"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32, "attention_factor": 1.1},
                     pad_token_id=0), False),
    # matrices with inputs first, names without "transformer."
    "gpt2-bare": ({"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "vocab_size": 47, "n_embd": 32, "n_head": 2, "n_layer": 2,
                   "n_positions": 160, "n_inner": 40, "activation_function": "gelu", "torch_dtype": "float16"}, True),
    # an expert for all rows behind a gate, weights of experts as they are, plain MLPs by both keys, windows on early layers
    "qwen2-moe": (causal("qwen2_moe", "Qwen2MoeForCausalLM", num_hidden_layers=4, num_experts=6, num_experts_per_tok=3, moe_intermediate_size=24,
                         shared_expert_intermediate_size=36, norm_topk_prob=False, decoder_sparse_step=2, mlp_only_layers=[3],
                         use_sliding_window=True, sliding_window=10, max_window_layers=2, rope_theta=20000.0), False),
    # tensors that hold all experts, as transformers 5 has them in memory
    "mixtral-stacked": (causal("mixtral", "MixtralForCausalLM", num_local_experts=5, num_experts_per_tok=2, sliding_window=12, intermediate_size=72,
                               rope_theta=5000.0), False),
    # latent attention without a row for queries, biases, channels that fill no vector; groups of experts by their best one, yarn that scales scores
    "deepseek-v2": (causal(
        "deepseek_v2", "DeepseekV2ForCausalLM", num_hidden_layers=3, num_key_value_heads=4, q_lora_rank=None, kv_lora_rank=20, qk_nope_head_dim=12,
        qk_rope_head_dim=8, v_head_dim=10, attention_bias=True, first_k_dense_replace=1, moe_layer_freq=1, n_routed_experts=8, num_experts_per_tok=3,
        n_shared_experts=2, moe_intermediate_size=24, n_group=4, topk_group=2, topk_method="group_limited_greedy", scoring_func="softmax",
        norm_topk_prob=False, routed_scaling_factor=4.0, rope_theta=3000.0,
        rope_scaling={"type": "yarn", "factor": 8.0, "original_max_position_embeddings": 32, "beta_fast": 32, "beta_slow": 1, "mscale": 0.9,
                      "mscale_all_dim": 0.7}), False),
    # as transformers 5 writes files: halves of channels that turn, no groups, a tensor for all experts
    "deepseek-v3-v5": ({k: v for k, v in causal(
        "deepseek_v3", "DeepseekV3ForCausalLM", num_key_value_heads=4, q_lora_rank=12, kv_lora_rank=32, qk_nope_head_dim=16, qk_rope_head_dim=8,
        v_head_dim=16, rope_interleave=False, first_k_dense_replace=1, n_routed_experts=6, num_experts_per_tok=2, n_shared_experts=1,
        moe_intermediate_size=24, n_group=1, topk_group=1, norm_topk_prob=False, routed_scaling_factor=1.5, num_nextn_predict_layers=0,
        dtype="bfloat16", transformers_version="5.23.0",
        rope_parameters={"rope_type": "default", "rope_theta": 2000.0}).items() if k != "torch_dtype"}, False),
}


def random_weights(model, dtype, generator):
    """Sizes at which every part of the model shows in the logits."""
    tensors = {}
    for name, p in model.state_dict().items():
        x = torch.randn(p.shape, generator=generator)
        if p.dim() == 1 and name.endswith(".weight"):
            x = 1 + 0.2 * x
        elif p.dim() == 1:
            x = 0.2 * x
        else:
            x = x * 1.3 / p.shape[-1] ** 0.5
        tensors[name] = (x * (2 if name == "lm_head.weight" else 1)).to(dtype)
    return tensors


def each_expert(tensors):
    """A tensor for each expert, as files have it."""
    apart = {}
    for name, t in tensors.items():
        layer, found, kind = name.partition("mlp.experts.")
        if not found:
            apart[name] = t
            continue
        for e, matrix in enumerate(t):
            parts = zip(("gate_proj", "up_proj"), matrix.chunk(2)) if kind == "gate_up_proj" else [(kind, matrix)]
            for part, rows in parts:
                apart[f"{layer}mlp.experts.{e}.{part}.weight"] = rows.contiguous()
    return apart


def make_checkpoint(name, config, bare, seed):
    out = ROOT / "testdata" / "checkpoints" / name
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    (out / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    dtype = getattr(torch, config.get("dtype") or config["torch_dtype"])
    generator = torch.Generator().manual_seed(seed)
    tensors = random_weights(AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(out)), dtype, generator)
    if AutoConfig.from_pretrained(out).tie_word_embeddings:
        del tensors["lm_head.weight"]
    if bare:
        tensors = {n.removeprefix("model.").removeprefix("transformer."): t for n, t in tensors.items()}
    if config["model_type"] == "gpt_neox":
        tensors = {n.replace("lm_head.", "embed_out."): t for n, t in tensors.items()}  # as files have it
    if name in ("qwen2-moe", "deepseek-v2"):
        tensors = each_expert(tensors)
    save_file(tensors, out / "model.safetensors", metadata={"format": "pt"})
    record(out, config, generator)


def fresh(out):
    """Some rotary embeddings remember the longest sequence; a new model remembers none."""
    # Falcon's eager attention adds ALiBi twice, once in the mask; as it is meant, and by default runs, it is added once.
    kind = "sdpa" if AutoConfig.from_pretrained(out).model_type == "falcon" else "eager"
    return AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32, attn_implementation=kind).eval()


@torch.no_grad()
def record(out, config, generator):
    arrays, prompts, count = {}, [], AutoConfig.from_pretrained(out).num_hidden_layers + 1
    layers = [1, count - 1]
    for name, length in PROMPTS.items():
        ids = torch.randint(3, config["vocab_size"], (1, length), generator=generator)
        model = fresh(out)
        got = model(ids, use_cache=False, output_hidden_states=True)
        arrays[name + ".logits"] = got.logits[0, -1].clone()
        if name == "p7":
            arrays[name + ".logits_all"] = got.logits[0].clone()
        if name == "p33":
            for k in layers:
                arrays[f"hidden.{k}"] = got.hidden_states[k][0].clone()
        model, tokens, gaps, seq = fresh(out), [], [], ids
        for _ in range(STEPS):
            top = model(seq, use_cache=False).logits[0, -1].topk(2)
            tokens.append(int(top.indices[0]))
            gaps.append(round(float(top.values[0] - top.values[1]), 6))
            seq = torch.cat([seq, top.indices[:1][None]], dim=1)
        prompts.append({"name": name, "ids": ids[0].tolist(), "generate": {"ids": tokens, "gaps": gaps}})
    save_file(arrays, out / "golden.safetensors")
    golden = {"kind": "causal-lm", "prompts": prompts, "hidden": {"layers": layers, "count": count}}
    (out / "golden.json").write_text(json.dumps(golden) + "\n")


def rope_cases():
    """Combinations of keys of each type, in both spellings."""
    for theta in (10000.0, 1000000, 150.0):
        for head_dim, hidden, heads in ((None, 64, 4), (80, 64, 4)):
            base = {"hidden_size": hidden, "num_attention_heads": heads, "max_position_embeddings": 4096}
            if head_dim:
                base["head_dim"] = head_dim
            half = (head_dim or hidden // heads) // 2
            scalings = [
                None,
                {"type": "linear", "factor": 3.7},
                {"type": "dynamic", "factor": 4.0},
                {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 1024},
                {"rope_type": "llama3", "factor": 32.0, "low_freq_factor": 2.0, "high_freq_factor": 2.5},
                {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 512},
                {"rope_type": "yarn", "factor": 16.0, "beta_fast": 64, "beta_slow": 4, "attention_factor": 0.7},
                {"rope_type": "yarn", "factor": 0.5, "truncate": False},
                {"rope_type": "yarn", "factor": 40, "mscale": 1.0, "mscale_all_dim": 0.8, "original_max_position_embeddings": 256, "beta_fast": 0},
                {"rope_type": "yarn", "factor": 40, "mscale": 1.0, "mscale_all_dim": 0, "truncate": True},
                {"rope_type": "longrope", "short_factor": [1 + i / half for i in range(half)], "long_factor": [2.0 + i for i in range(half)],
                 "original_max_position_embeddings": 128},
                {"type": "longrope", "short_factor": [1.0] * half, "long_factor": [4.0] * half, "factor": 2.0, "attention_factor": 1.1},
            ]
            for scaling in scalings:
                yield {**base, "rope_theta": theta, "rope_scaling": scaling}
                if scaling and "type" not in scaling and theta == 150.0:
                    yield {**base, "rope_parameters": {**scaling, "rope_theta": theta}}
        yield {"hidden_size": 64, "num_attention_heads": 4, "max_position_embeddings": 8192, "original_max_position_embeddings": 2048,
               "rope_theta": theta, "rope_scaling": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 4096}}


def make_rope():
    rows = []
    for keys in rope_cases():
        config = AutoConfig.for_model("llama", **json.loads(json.dumps(keys)))
        embedding = LlamaRotaryEmbedding(config)
        row = {"config": keys, "type": embedding.rope_type, "factor": embedding.attention_scaling, "inv_freq": [embedding.inv_freq.tolist()]}
        if embedding.rope_type == "longrope":
            long, _ = ROPE_INIT_FUNCTIONS["longrope"](config, seq_len=10**6)
            row["inv_freq"].append(long.tolist())
        row["inv_freq"] = [[float(f"{x:.9g}") for x in f] for f in row["inv_freq"]]  # nine digits give a float32 back
        rows.append(row)
    path = ROOT / "compiler" / "models" / "testdata" / "rope.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("[\n" + ",\n".join(json.dumps(r, separators=(",", ":")) for r in rows) + "\n]\n")


def make_dtypes():
    generator = torch.Generator().manual_seed(5)
    numbers = torch.cat([torch.tensor([0.0, -0.0, 1.0, -2.0, 0.1, 1e-3, 6e-8, 448.0, -3.5]), torch.randn(11, generator=generator)]).reshape(4, 5)
    kinds = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "F8_E4M3": torch.float8_e4m3fn,
             "F8_E5M2": torch.float8_e5m2, "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8,
             "U8": torch.uint8, "BOOL": torch.bool}
    # sorted by size, as the library stores them whatever the order
    tensors = {name: (numbers.abs() if name in ("U8", "BOOL") else numbers).to(kind) for name, kind in kinds.items()}
    tensors["scalar"], tensors["none"] = torch.tensor(1.5), torch.zeros(0, 3)
    out = ROOT / "compiler" / "hf" / "testdata"
    out.mkdir(parents=True, exist_ok=True)
    save_file(tensors, out / "dtypes.safetensors", metadata={"format": "pt"})
    values = {name: [float(x) for x in t.double().flatten()] for name, t in tensors.items()}
    (out / "dtypes.json").write_text(json.dumps(values, indent=1) + "\n")


if __name__ == "__main__":
    for seed, (name, (config, bare)) in enumerate(CHECKPOINTS.items()):
        if len(sys.argv) < 2 or name in sys.argv[1:]:
            make_checkpoint(name, config, bare, seed)
    if len(sys.argv) < 2:
        make_rope()
        make_dtypes()
