"""Reads events of the prefix cache as routers do, by ZeroMQ's own library and msgspec, in the structures that vLLM documents for its subscribers.

kv_events_python.py ADDRESS KEY EVENTS REPLAY, the last two as tcp://HOST:PORT
"""

import json
import sys
import urllib.request

import msgspec
import zmq


class Batch(msgspec.Struct, array_like=True, omit_defaults=True):
    ts: float
    events: list["BlockStored | BlockRemoved | AllBlocksCleared"]
    data_parallel_rank: int | None = None


class BlockStored(msgspec.Struct, array_like=True, omit_defaults=True, tag=True):
    block_hashes: list[int | bytes]
    parent_block_hash: int | bytes | None
    token_ids: list[int]
    block_size: int
    lora_id: int | None
    medium: str | None
    lora_name: str | None


class BlockRemoved(msgspec.Struct, array_like=True, omit_defaults=True, tag=True):
    block_hashes: list[int | bytes]
    medium: str | None


class AllBlocksCleared(msgspec.Struct, array_like=True, omit_defaults=True, tag=True):
    pass


decoder = msgspec.msgpack.Decoder(type=Batch)


def post(address, key, path, body):
    request = urllib.request.Request(
        address + path, json.dumps(body).encode(), {"Content-Type": "application/json", "Authorization": "Bearer " + key})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


class Index:
    """What a router keeps: which tokens lead to which block."""

    def __init__(self):
        self.blocks = {}  # by hash: parent, tokens, size

    def take(self, batch):
        for event in batch.events:
            if isinstance(event, BlockStored):
                parent = event.parent_block_hash
                assert len(event.token_ids) == len(event.block_hashes) * event.block_size
                for i, block in enumerate(event.block_hashes):
                    assert block not in self.blocks, "a block is stored twice"
                    assert parent is None or parent in self.blocks, "a block has an unknown parent"
                    self.blocks[block] = (parent, event.token_ids[i * event.block_size:(i + 1) * event.block_size])
                    parent = block
            elif isinstance(event, BlockRemoved):
                for block in event.block_hashes:
                    del self.blocks[block]

    def known(self, tokens):
        """How many of the first tokens are in blocks that follow each other."""
        parent, n = None, 0
        while True:
            following = [b for b, (p, t) in self.blocks.items() if p == parent and t == tokens[n:n + len(t)]]
            if not following:
                return n
            assert len(following) == 1, "two blocks of one content"
            parent, n = following[0], n + len(self.blocks[following[0]][1])


def main():
    address, key, events, replay = sys.argv[1:]
    context = zmq.Context()
    subscriber = context.socket(zmq.SUB)
    subscriber.connect(events)
    subscriber.setsockopt_string(zmq.SUBSCRIBE, "kv@")
    poller = zmq.Poller()
    poller.register(subscriber, zmq.POLLIN)

    index, seen = Index(), []
    prompts = ["A short one.", "What is %s? " * 40 % tuple(range(40)), "What is %s? " * 60 % tuple(range(60)), "Else. " * 90]
    first = post(address, key, "/tokenize", {"prompt": prompts[1]})["tokens"]
    # A subscription takes effect when it has arrived: until then prompts are not told of.
    for attempt in range(100):
        post(address, key, "/v1/completions", {"prompt": "%d " % attempt * 60, "max_tokens": 1})
        if poller.poll(100):
            break
    else:
        sys.exit("no event came")
    for prompt in prompts:
        post(address, key, "/v1/completions", {"prompt": prompt, "max_tokens": 4})
    while poller.poll(2000):
        topic, number, payload = subscriber.recv_multipart()
        assert topic.startswith(b"kv@") and topic.count(b"@") == 2, topic
        seen.append((int.from_bytes(number, "big"), payload))
        assert seen[-1][0] == seen[0][0] + len(seen) - 1, "a batch is missing"

    # What came before the subscription is asked for.
    request = context.socket(zmq.DEALER)
    request.connect(replay)
    request.send((0).to_bytes(8, "big"))
    replayed = []
    while request.poll(5000):
        number, payload = request.recv_multipart()
        if number == (-1).to_bytes(8, "big", signed=True):
            break
        replayed.append((int.from_bytes(number, "big"), payload))
    else:
        sys.exit("the replay has no end")
    assert replayed[0][0] == 0 and replayed[seen[0][0]:seen[0][0] + len(seen)] == seen, "what is replayed is not what was published"
    for _, payload in replayed:
        index.take(decoder.decode(payload))
    for prompt in prompts:
        tokens = post(address, key, "/tokenize", {"prompt": prompt})["tokens"]
        size = len(next(iter(index.blocks.values()))[1])
        known = index.known(tokens)
        assert known == len(tokens) // size * size, (prompt[:20], known, len(tokens))
    assert index.known(first) > 100
    print("%d batches, %d blocks" % (len(replayed), len(index.blocks)))


main()
