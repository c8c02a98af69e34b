"""What all adaptors do: read the request, time the cases, say what was found, a line of JSON each.

An adaptor is a module with open_model(request), which returns a function generate(prompts, tokens): it continues lists of token ids greedily by so many tokens
each and returns the seconds to the first token of all, and the seconds of the others, or None where its API tells only the sum. Where its API tells
probabilities it has open_scorer(request) too, which returns a function score(ids, first): the log-probabilities of ids[first:], each after what is before it."""
import json
import sys
import time

LONG = 1024  # tokens of a prompt that is its own warm-up


def say(**line):
    print("PEER " + json.dumps(line), flush=True)


class Texts:
    """Prompts that are cut from a text at ever other places, so that no cache of prefixes helps."""

    def __init__(self, ids):
        self.ids, self.at = ids, 0

    def take(self, sequences, tokens):
        prompts = []
        for _ in range(sequences):
            self.at = (self.at + 1009) % len(self.ids)
            turned = self.ids[self.at :] + self.ids[: self.at]
            while len(turned) < tokens:
                turned = turned + turned
            prompts.append(turned[:tokens])
        return prompts


def seconds(generate, prompts, more):
    """Seconds to the first token, seconds of the others."""
    first, rest = generate(prompts, more + 1)
    if rest is None and more == 0:
        return first, 0.0
    if rest is None:
        alone, _ = generate(prompts, 1)
        return alone, max(first - alone, 1e-9)
    return first, rest


def measure(generate, texts, case, repeat, least):
    if case["prompt"] < LONG:
        generate(texts.take(case["batch"], case["prompt"]), 2)
    found = []
    began = time.time()
    while len(found) < repeat and (not found or time.time() - began < least):
        found.append(seconds(generate, texts.take(case["batch"], case["prompt"]), case["gen"]))
    return [sorted(column)[len(found) // 2] for column in zip(*found)]


def log_probabilities(logits, following):
    """Of each row of logits, the log-probability of the token that follows."""
    import numpy

    rows = numpy.asarray(logits, dtype=numpy.float64)
    most = rows.max(axis=1)
    return rows[numpy.arange(len(rows)), following] - most - numpy.log(numpy.exp(rows - most[:, None]).sum(axis=1))


def perplexity(score, ids, window, windows):
    """The first half of each window is context only, the second half is scored: what llmc eval does."""
    loss, tokens = 0.0, 0
    for at in range(0, min(len(ids) // window, windows) * window, window):
        found = [float(p) for p in score(ids[at : at + window], window // 2)]
        assert len(found) == window - window // 2, len(found)
        loss, tokens = loss - sum(found), tokens + len(found)
    say(loss=loss, tokens=tokens)


def main(open_model, open_scorer=None):
    with open(sys.argv[1]) as file:
        request = json.load(file)
    if request["windows"] > 0:
        perplexity(open_scorer(request), request["ids"], request["window"], request["windows"])
        return
    texts = Texts(request["ids"])
    generate = open_model(request)
    generate(texts.take(1, 32), 1)
    say(first=True)
    for number, case in enumerate(request["cases"]):
        say(begin=number)
        try:
            prefill, decode = measure(generate, texts, case, request["repeat"], request["seconds"])
        except Exception as problem:  # one case that a peer cannot do leaves the others
            say(case=number, error=" ".join(str(problem).split())[:300])
            continue
        say(case=number, prefill_s=prefill, decode_s=decode)
