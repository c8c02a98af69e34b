#!/usr/bin/env python3
"""Writes tokenizers of random parts, random texts, and what the tokenizers library gives for them.

    synthetic.py SEED COUNT TEXTS OUT.json      (needs: pip install tokenizers==0.22.2)

The result is read by TestSyntheticTokenizers: testdata/synthetic.json, or the file that TOKENIZER_REFERENCE names.
"""
import base64, json, random, struct, sys
import tokenizers
from tokenizers import Tokenizer

POOL = [list("abcdeEFGxyzstrvlm"), list("0123456789"), list("    \t\n\r\n\x0b\x0c\x85\u00a0\u2003\u3000\u200b"),
        list("''''\"!?.,;:-_()[]{}<>/\\|@#$%^&*+=~`"), list("éàüßñøÆœİıſKÅΩμ"), list("абвгДЕЖЯёΑβγςΣ"),
        list("日本語中文字漢ひらがなカタカナー々〇龥。，、！"), list("한글가각힣"), list("عربيةשלוםहिन्दीไทย"),
        ["\u0301", "\u0308", "\u0327", "\u093c", "\u094d", "\u20d0", "\ufe0f", "\u200d", "\u064b", "\u0345", "\u3099"],
        ["😀", "👨‍👩‍👧", "🇩🇪", "👍🏽", "𝔘", "𐐷", "𠀀"], ["½", "²", "³", "Ⅷ", "①", "٣", "३", "𝟘", "ﬁ", "㍿", "ｱﾞ", "…"],
        ["\u0000", "\u0001", "\u001f", "\u007f", "\ufffd", "\ufeff", "\ue000", "\u00ad", "\u2028", "\u2581", "▁a", "Ġ"],
        ["'s", "'S", "'re", "'LL", "n't", " the", " of", "ing", "...", "\r\n\r\n", "\n\n", "   ", "Ab", "HTTPServer", "do not", " ,", "it's"],
        ["<s>", "</s>", "[MASK]", "<tok>", "Day", "day", "<unk>", "##", "<0x41>", "<0xE4>", "x y", " <s> ", "  [MASK]  ", "aDayb"]]


def text(r):
    out = []
    while len(out) < r.choice([0, 1, 2, 3, 5, 8, 13, 20]):
        pool = r.choice(POOL)
        out += [r.choice(pool) for _ in range(r.choice([1, 1, 1, 2, 3]))]
    return "".join(out)


def byte_chars():
    chars, extra = {}, 256
    for b in range(256):
        if 33 <= b <= 126 or 161 <= b <= 172 or 174 <= b <= 255:
            chars[b] = chr(b)
        else:
            chars[b], extra = chr(extra), extra + 1
    return chars


def charsmap(r):
    """A small precompiled charsmap: a Darts double array for random rules, built by trial."""
    keys = sorted({k.encode() for k in r.sample(["\u00a0", "ﬁ", "é", "e\u0301", "A", "AB", "\n", "①", "\u0001", "한", "ａ", "ｂ\u0301", "…", "\u200b"], r.randint(1, 9))})
    values, blob = {}, b""
    for k in keys:
        values[k] = len(blob)
        # an added token that normalizes to nothing cuts between all characters there; not reproduced
        blob += r.choice(["", " ", "x", "yy", "fi", "é", "..."][k == "é".encode():]).encode() + b"\0"
    units, used = [0] * 4096, {0}
    def place(prefix, at):
        labels = sorted({k[len(prefix)] for k in keys if k.startswith(prefix) and len(k) > len(prefix)})
        leaf = prefix in values
        want = labels + ([0] if leaf else [])
        for offset in range(1, 4096):
            spots = [at ^ offset ^ l for l in want]
            if all(0 < s < 4096 and s not in used for s in spots):
                break
        used.update(spots)
        units[at] |= offset << 10 | (256 if leaf else 0)
        if leaf:
            units[at ^ offset] = 1 << 31 | values[prefix]
        for l in labels:
            units[at ^ offset ^ l] |= l
            place(prefix + bytes([l]), at ^ offset ^ l)
    place(b"", 0)
    return base64.b64encode(struct.pack("<I", 4 * len(units)) + struct.pack("<%dI" % len(units), *units) + blob).decode()


def split(r):
    pattern = r.choice([{"String": r.choice([" ", "a", "▁", "", "'s"])}, {"Regex": r.choice([r"\s+", r"\d{1,3}", r"\p{L}+|\p{N}+", r"[^\s]+", r"\w", r"(?i:AB|c)+", r" ?\p{L}+", r"", r"x*"])}])
    return {"type": "Split", "pattern": pattern, "behavior": r.choice(BEHAVIORS), "invert": r.random() < 0.4}


BEHAVIORS = ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]


def normalizer(r, depth=0):
    kinds = [lambda: {"type": r.choice(["NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Nmt", "ByteLevel"])},
             lambda: {"type": "Strip", "strip_left": r.random() < .7, "strip_right": r.random() < .5},
             lambda: {"type": "Prepend", "prepend": r.choice(["▁", " ", "ab"])},
             lambda: {"type": "Replace", "pattern": r.choice([{"String": " "}, {"String": "a"}, {"Regex": r"\s+"}, {"Regex": " {2,}"}, {"Regex": r"\p{P}"}]), "content": r.choice(["▁", "", " ", "xy"])},
             lambda: {"type": "BertNormalizer", "clean_text": r.random() < .7, "handle_chinese_chars": r.random() < .7, "strip_accents": r.choice([None, True, False]), "lowercase": r.random() < .6},
             lambda: {"type": "Precompiled", "precompiled_charsmap": charsmap(r)}]
    if depth == 0 and r.random() < .5:
        return {"type": "Sequence", "normalizers": [normalizer(r, 1) for _ in range(r.randint(0, 3))]}
    return r.choice(kinds)()


def pre_tokenizer(r, depth=0):
    kinds = [lambda: {"type": "ByteLevel", "add_prefix_space": r.random() < .5, "trim_offsets": True, "use_regex": r.random() < .6},
             lambda: {"type": "Metaspace", "replacement": r.choice(["▁", "_"]), "prepend_scheme": r.choice(["always", "first", "first", "never"]), "split": r.random() < .6},
             lambda: {"type": r.choice(["Whitespace", "WhitespaceSplit", "BertPreTokenizer", "UnicodeScripts"])},
             lambda: split(r), lambda: split(r),
             lambda: {"type": "Punctuation", "behavior": r.choice(BEHAVIORS)},
             lambda: {"type": "Digits", "individual_digits": r.random() < .5},
             lambda: {"type": "CharDelimiterSplit", "delimiter": r.choice([" ", "a", "-"])},
             lambda: {"type": "FixedLength", "length": r.randint(1, 6)}]
    if depth == 0 and r.random() < .5:
        return {"type": "Sequence", "pretokenizers": [pre_tokenizer(r, 1) for _ in range(r.randint(0, 3))]}
    return r.choice(kinds)()


def model(r, texts):
    pieces = {"<unk>", "<s>", "</s>", "##", "▁"}
    sample = "".join(texts)
    byte = r.random() < .5
    if byte:
        table = byte_chars()
        pieces |= set(table.values())
        sample = "".join(table[b] for b in sample.encode())
    chars = sorted(set(sample))
    pieces |= set(r.sample(chars, len(chars) * r.choice([3, 4, 4]) // 4))
    if r.random() < .5:
        pieces |= {"<0x%02X>" % b for b in range(256)}
    kind = r.choice(["BPE", "BPE", "Unigram", "WordPiece", "WordLevel"])
    grams = [sample[i:i + n] for n in (2, 3, 4) for i in r.sample(range(max(1, len(sample) - n)), min(60, max(1, len(sample) - n)))]
    if kind == "BPE":
        prefix, suffix = r.choice([None, None, "", "##"]), r.choice([None, None, "", "</w>"])
        spelled = set(pieces)
        for c in pieces:
            if len(c) == 1:
                spelled |= {(prefix or "") + c, c + (suffix or ""), (prefix or "") + c + (suffix or "")}
        words, merges = sorted(spelled), []
        for _ in range(r.choice([0, 30, 150])):
            a, b = r.choice(words[-80:] if r.random() < .4 else words), r.choice(words)
            if not b.startswith(prefix or "") or suffix and a.endswith(suffix) or len(a + b) > 12:
                continue
            joined = a + b[len(prefix or ""):]
            if joined not in spelled:
                spelled.add(joined)
                words.append(joined)
            merges.append([a, b])
        r.shuffle(merges)
        if r.random() < .5 and not any(" " in a + b for a, b in merges):
            merges = [a + " " + b for a, b in merges]
        ids = list(range(len(words)))
        return {"type": "BPE", "dropout": None, "unk_token": r.choice([None, "<unk>", "<unk>"]), "continuing_subword_prefix": prefix, "end_of_word_suffix": suffix,
                "fuse_unk": r.random() < .5, "byte_fallback": r.random() < .5, "ignore_merges": r.random() < .4, "vocab": dict(zip(words, ids)), "merges": merges}
    words = sorted(pieces | set(g for g in grams if g))
    r.shuffle(words)
    if kind == "Unigram":
        return {"type": "Unigram", "unk_id": words.index("<unk>"), "vocab": [[w, round(-r.random() * 12, 3)] for w in words], "byte_fallback": r.random() < .4}
    vocab = {w: i for i, w in enumerate(words)}
    if kind == "WordPiece":
        for w in words[:len(words) * 3 // 4]:
            vocab.setdefault("##" + w, len(vocab))
        return {"type": "WordPiece", "unk_token": "<unk>", "continuing_subword_prefix": "##", "max_input_chars_per_word": r.choice([5, 100]), "vocab": vocab}
    return {"type": "WordLevel", "vocab": vocab, "unk_token": "<unk>"}


def post_processor(r, ids):
    s, e = ids["<s>"], ids["</s>"]
    piece = lambda kind, name, t: {kind: {"id": name, "type_id": t}}
    kinds = [lambda: {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True},
             lambda: {"type": "BertProcessing", "sep": ["</s>", e], "cls": ["<s>", s]},
             lambda: {"type": "RobertaProcessing", "sep": ["</s>", e], "cls": ["<s>", s], "trim_offsets": False, "add_prefix_space": True},
             lambda: {"type": "TemplateProcessing", "single": [piece("SpecialToken", "<s>", r.randint(0, 1)), piece("Sequence", "A", r.randint(0, 2))],
                      "pair": [piece("Sequence", "B", 1), piece("SpecialToken", "both", 3), piece("Sequence", "A", r.randint(0, 2))],
                      "special_tokens": {"<s>": {"id": "<s>", "ids": [s], "tokens": ["<s>"]}, "both": {"id": "both", "ids": [e, s], "tokens": ["</s>", "<s>"]}}}]
    if r.random() < .3:
        return {"type": "Sequence", "processors": [kinds[0](), r.choice(kinds)()]}
    return r.choice(kinds)()


def decoder(r, depth=0):
    kinds = [lambda: {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
             lambda: {"type": "WordPiece", "prefix": "##", "cleanup": r.random() < .6},
             lambda: {"type": "Metaspace", "replacement": "▁", "prepend_scheme": r.choice(["always", "first", "never"]), "split": True},
             lambda: {"type": "BPEDecoder", "suffix": r.choice(["</w>", "a"])},
             lambda: {"type": "CTC", "pad_token": r.choice(["<s>", "a"]), "word_delimiter_token": r.choice(["|", "▁"]), "cleanup": r.random() < .5},
             lambda: {"type": r.choice(["ByteFallback", "Fuse"])},
             lambda: {"type": "Replace", "pattern": r.choice([{"String": "▁"}, {"String": "a"}, {"Regex": r"\s+|b"}]), "content": r.choice([" ", "", "zz"])},
             lambda: {"type": "Strip", "content": r.choice([" ", "a", "▁"]), "start": r.randint(0, 2), "stop": 0}]
    if depth == 0 and r.random() < .6:
        return {"type": "Sequence", "decoders": [decoder(r, 1) for _ in range(r.randint(0, 4))]}
    return r.choice(kinds)()


def added(r, vocab):
    tokens = []
    for content in r.sample(["<s>", "</s>", "[MASK]", "<tok>", "Day", "<unk>", " ", "x y", "é", "aDay", "\n", "▁a"], r.randint(1, 7)):
        tokens.append({"id": vocab.get(content, 0), "content": content, "single_word": r.random() < .2, "lstrip": r.random() < .3, "rstrip": r.random() < .3,
                       "normalized": r.random() < .4 and content.strip() != "", "special": r.random() < .5})
    return tokens


def case(r, count):
    texts = [text(r) for _ in range(count)]
    m = model(r, texts + ["abc "])
    vocab = m["vocab"] if isinstance(m["vocab"], dict) else {w: i for i, (w, _) in enumerate(m["vocab"])}
    file = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added(r, vocab),
            "normalizer": normalizer(r) if r.random() < .7 else None, "pre_tokenizer": pre_tokenizer(r) if r.random() < .85 else None,
            "post_processor": post_processor(r, vocab) if r.random() < .6 else None, "decoder": decoder(r) if r.random() < .85 else None, "model": m}
    tok = Tokenizer.from_str(json.dumps(file))
    out = {"file": file, "vocab_size": tok.get_vocab_size(), "cases": [], "pairs": []}
    for t in texts:
        try:
            ids, special = tok.encode(t, add_special_tokens=False).ids, tok.encode(t).ids
        except BaseException as e:
            if "PanicException" in type(e).__name__:
                continue
            out["cases"].append({"text": t, "error": str(e)})
            continue
        extra = special + [r.randrange(tok.get_vocab_size()) for _ in range(r.choice([0, 3, 8]))]
        extra = [i for i in extra if tok.id_to_token(i) is not None]
        try:
            decoded, skipped = tok.decode(extra, skip_special_tokens=False), tok.decode(extra, skip_special_tokens=True)
        except BaseException:
            decoded = skipped = None
        out["cases"].append({"text": t, "ids": ids, "ids_special": special, "decode": extra, "decoded": decoded, "decoded_skip": skipped})
    for a, b in zip(texts[:3], texts[1:4]):
        try:
            e = tok.encode(a, b)
            out["pairs"].append({"a": a, "b": b, "ids": e.ids, "type_ids": e.type_ids})
        except BaseException:
            pass
    return out


def main():
    seed, count, texts, path = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    r = random.Random(seed)
    cases = []
    while len(cases) < count:
        try:
            cases.append(case(r, texts))
        except BaseException as e:
            if isinstance(e, KeyboardInterrupt) or "-v" in sys.argv:
                raise
    with open(path, "w") as f:
        json.dump({"tokenizers": tokenizers.__version__, "tokenizers_cases": cases}, f, ensure_ascii=True, separators=(",", ":"))


main()
