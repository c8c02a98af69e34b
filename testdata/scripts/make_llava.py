#!/usr/bin/env python3
"""Writes testdata/checkpoints/llava-*: tiny models that read images among tokens, and what transformers makes of prompts with images.

    pip install torch==2.15.0 transformers==5.24.0 safetensors==0.8.0 pillow==13.0.0
    python testdata/scripts/make_llava.py

Weights are random with fixed seeds. Goldens are computed in float32 with eager attention and without a cache; images are prepared by the classes that
use the Python imaging library. Names of tensors and the place of the chat template are, in one directory, those of checkpoints of 2024, in the other those
of 2025.
"""

import json
import pathlib
import shutil

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlavaConfig, LlavaForConditionalGeneration, LlavaProcessor, PreTrainedTokenizerFast
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

ROOT = pathlib.Path(__file__).resolve().parents[2] / "testdata" / "checkpoints"
SPECIAL = ["<unk>", "<s>", "</s>", "<image>"]
STEPS = 12

# All images first, then all texts, as the template of the first checkpoints does.
PARTS_ALONE = (
    "{% for message in messages %}{{ message['role'].upper() + ': ' }}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'image') %}{{ '<image>\n' }}{% endfor %}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'text') %}{{ content['text'] + ' ' }}{% endfor %}"
    "{% endfor %}{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)
# In the order of the parts; a content may be a string.
PARTS_OR_TEXT = (
    "{% for message in messages %}<s>{{ message.role }}\n{% if message.content is string %}{{ message.content }}{% else %}"
    "{% for part in message.content %}{% if part.type == 'image' %}<image>{% else %}{{ part.text }}{% endif %}{% endfor %}{% endif %}</s>\n"
    "{% endfor %}{% if add_generation_prompt %}<s>assistant\n{% endif %}"
)

TEXT = {
    "vocab_size": 264, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "max_position_embeddings": 512, "rms_norm_eps": 1e-06, "bos_token_id": 1, "eos_token_id": 2,
}
VISION = {"hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 3, "num_attention_heads": 2, "patch_size": 8}

# Each row: config.json, the class that prepares images with its settings, the chat template, names of tensors by their beginning in memory.
CHECKPOINTS = {
    # CLIP's second last layer without its own row, a Llama
    "llava-clip": (
        {
            "text_config": {"model_type": "llama", **TEXT, "tie_word_embeddings": False},
            "vision_config": {"model_type": "clip_vision_model", **VISION, "image_size": 32, "projection_dim": 16, "vocab_size": 32000},
            "image_token_index": 3, "vision_feature_layer": -2, "vision_feature_select_strategy": "default", "projector_hidden_act": "gelu",
            "tie_word_embeddings": False, "torch_dtype": "float32",
        },
        CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}), PARTS_ALONE,
        {"lm_head.": "language_model.lm_head.", "model.language_model.": "language_model.model.",
         "model.vision_tower.": "vision_tower.vision_model.", "model.multi_modal_projector.": "multi_modal_projector."},
    ),
    # a middle layer of SigLIP, all rows, a tied Qwen2
    "llava-siglip": (
        {
            "text_config": {"model_type": "qwen2", **TEXT, "tie_word_embeddings": True, "rope_theta": 5000.0},
            "vision_config": {"model_type": "siglip_vision_model", **VISION, "image_size": 24, "vision_use_head": False},
            "image_token_id": 3, "vision_feature_layer": 2, "vision_feature_select_strategy": "full", "projector_hidden_act": "gelu_pytorch_tanh",
            "multimodal_projector_bias": False, "tie_word_embeddings": True, "dtype": "float32",
        },
        SiglipImageProcessorPil(size={"height": 24, "width": 24}), PARTS_OR_TEXT,
        {"model.vision_tower.": "model.vision_tower.vision_model."},
    ),
}

CONVERSATIONS = {
    "one": [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is this?"}]}],
    "two": [
        {"role": "user", "content": [{"type": "text", "text": "Compare"}, {"type": "image"}, {"type": "text", "text": "with"}, {"type": "image"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "Both are noise."}]},
        {"role": "user", "content": [{"type": "text", "text": "Why?"}]},
    ],
    "none": [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}],
}
IMAGES = {"one": ["image0.png"], "two": ["image1.png", "image0.png"], "none": []}


def picture(width, height, seed):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    a = np.stack([255 * x / width, 255 * y / height, 128 + 127 * np.sin((x + y) / 3)], axis=-1)
    a[:, width // 2 :] += rng.normal(0, 60, (height, width - width // 2, 3))
    return Image.fromarray(np.clip(a, 0, 255).astype(np.uint8))


def tokenizer():
    """Bytes, and special tokens."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {t: i for i, t in enumerate(SPECIAL + letters)}
    t = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    t.pre_tokenizer, t.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    t.add_special_tokens([AddedToken(s, special=True, normalized=False) for s in SPECIAL])
    return PreTrainedTokenizerFast(tokenizer_object=t, unk_token="<unk>", bos_token="<s>", eos_token="</s>",
                                   extra_special_tokens={"image_token": "<image>"})


def weights(model, generator):
    tensors = {}
    for name, p in model.state_dict().items():
        x = torch.randn(p.shape, generator=generator)
        if p.dim() == 1:
            x = (1 if name.endswith("norm.weight") or "layer" in name and name.endswith(".weight") else 0) + 0.2 * x
        else:
            x = x * 1.3 / p[0].numel() ** 0.5
        tensors[name] = x
    return tensors


@torch.no_grad()
def record(out, model, processor):
    arrays, cases = {}, []
    for key, conversation in CONVERSATIONS.items():
        text = processor.apply_chat_template(conversation, add_generation_prompt=True)
        images = [Image.open(out / f) for f in IMAGES[key]]
        batch = processor(text=text, images=images or None, return_tensors="pt")
        ids, pixels = batch["input_ids"], batch.get("pixel_values")
        if pixels is not None and key == "two":
            arrays[key + ".pixel_values"] = pixels.float().contiguous()
            arrays[key + ".features"] = torch.cat(list(model.model.get_image_features(
                pixels, vision_feature_layer=model.config.vision_feature_layer,
                vision_feature_select_strategy=model.config.vision_feature_select_strategy).pooler_output)).contiguous()
        got = model(input_ids=ids, pixel_values=pixels, use_cache=False).logits[0]
        arrays[key + ".logits"], arrays[key + ".logits_all"] = got[-1].clone(), got[-8:].clone()
        tokens, gaps, seq = [], [], ids
        for _ in range(STEPS):
            top = model(input_ids=seq, pixel_values=pixels, use_cache=False).logits[0, -1].topk(2)
            tokens.append(int(top.indices[0]))
            gaps.append(round(float(top.values[0] - top.values[1]), 6))
            seq = torch.cat([seq, top.indices[:1][None]], dim=1)
        cases.append({"key": key, "messages": conversation, "rendered": text, "files": IMAGES[key], "ids": ids[0].tolist(),
                      "generate": {"ids": tokens, "gaps": gaps}})
    save_file(arrays, out / "golden.safetensors")
    (out / "golden.json").write_text(json.dumps({"kind": "image-causal-lm", "cases": cases}) + "\n")


def make(name, config, images, template, names, seed):
    out = ROOT / name
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    config = {"architectures": ["LlavaForConditionalGeneration"], "model_type": "llava", **config}
    (out / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    model = LlavaForConditionalGeneration._from_config(LlavaConfig.from_pretrained(out), attn_implementation="eager").float().eval()
    tensors = weights(model, torch.Generator().manual_seed(seed))
    if config["tie_word_embeddings"]:
        del tensors["lm_head.weight"]
    model.load_state_dict(tensors, strict=not config["tie_word_embeddings"])
    for old, new in names.items():
        tensors = {new + n[len(old):] if n.startswith(old) else n: t for n, t in tensors.items()}
    save_file(tensors, out / "model.safetensors", metadata={"format": "pt"})
    picture(images.size.get("width", 32), images.size.get("height", 32), 1).save(out / "image0.png")
    picture(53, 37, 2).save(out / "image1.png")
    tok = tokenizer()
    processor = LlavaProcessor(image_processor=images, tokenizer=tok, patch_size=8, chat_template=template,
                               vision_feature_select_strategy=config["vision_feature_select_strategy"],
                               num_additional_image_tokens=1 if name == "llava-clip" else 0)
    tok.save_pretrained(out)
    settings = {**images.to_dict(), "image_processor_type": type(images).__name__.removesuffix("Pil")}
    if name == "llava-clip":
        (out / "chat_template.json").write_text(json.dumps({"chat_template": template}) + "\n")
        (out / "preprocessor_config.json").write_text(json.dumps({**settings, "processor_class": "LlavaProcessor"}, indent=1) + "\n")
    else:
        (out / "chat_template.jinja").write_text(template)
        (out / "processor_config.json").write_text(json.dumps({"image_processor": settings, "image_token": "<image>", "patch_size": 8,
                                                               "processor_class": "LlavaProcessor"}, indent=1) + "\n")
    record(out, model, processor)


for number, (name, row) in enumerate(CHECKPOINTS.items()):
    make(name, *row, seed=100 + number)
