"""OpenVINO GenAI's continuous batching behind the completions API, for as much of it as the clients use: its own server is no Python package. One thread reads
requests, lets the pipeline make a step and writes what that made, so nobody waits for an interpreter's lock.  serve_openvino.py MODEL THREADS SLOTS PORT"""
import json
import select
import socket
import sys

import numpy
import openvino
import openvino_genai

STEP_TOKENS = 256  # what OpenVINO's server takes without being told: long prompts come in parts
CACHE_GB = 2
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


def open_pipeline(model, threads, slots):
    scheduler = openvino_genai.SchedulerConfig()
    scheduler.cache_size, scheduler.max_num_seqs, scheduler.max_num_batched_tokens = CACHE_GB, slots, STEP_TOKENS
    scheduler.enable_prefix_caching, scheduler.dynamic_split_fuse = False, True
    properties = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
    return openvino_genai.ContinuousBatchingPipeline(model, scheduler, "CPU", properties)


def body_of(text):
    """The body of a request that is all there, else None."""
    head, found, body = text.partition(b"\r\n\r\n")
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if found and name.lower() == b"content-length" and len(body) >= int(value):
            return json.loads(body)
    return None


class Answer:
    """A request that is being answered."""

    def __init__(self, connection, handle, tokens):
        self.connection, self.handle, self.left, self.made = connection, handle, tokens, 0

    def send(self, **event):
        self.connection.sendall(b"data: " + json.dumps(event).encode() + b"\n\n")

    def forward(self, decode):
        """Writes what the last step made, tells whether that was all."""
        while self.handle.can_read():
            for output in self.handle.read().values():
                for token in output.generated_ids:
                    self.made, self.left = self.made + 1, self.left - 1
                    self.send(choices=[{"text": decode([token])}])
        if self.left > 0:
            return False
        self.send(choices=[], usage={"completion_tokens": self.made})
        self.connection.sendall(b"data: [DONE]\n\n")
        return True


class Server:
    def __init__(self, pipeline, port):
        self.pipeline, self.decode = pipeline, pipeline.get_tokenizer().decode
        self.listener = socket.create_server(("127.0.0.1", port), backlog=128)
        self.reading, self.answers, self.count = {}, [], 0

    def receive(self):
        """Takes what clients send; waits for them where there is nothing else to do."""
        ready, _, _ = select.select([self.listener, *self.reading], [], [], 0 if self.answers else None)
        for connection in ready:
            if connection is self.listener:
                new, _ = connection.accept()
                new.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.reading[new] = b""
                continue
            part = connection.recv(1 << 16)
            self.reading[connection] += part
            asked = body_of(self.reading[connection])
            if asked or not part:
                del self.reading[connection]
            if asked:
                self.begin(connection, asked)

    def begin(self, connection, asked):
        config = openvino_genai.GenerationConfig()
        config.max_new_tokens = config.min_new_tokens = asked["max_tokens"]
        config.ignore_eos, config.do_sample = True, False
        self.count += 1
        handle = self.pipeline.add_request(self.count, openvino.Tensor(numpy.array([asked["prompt"]], dtype=numpy.int64)), config)
        connection.sendall(HEAD)
        self.answers.append(Answer(connection, handle, asked["max_tokens"]))

    def forward(self, answer):
        try:
            ended = answer.forward(self.decode)
        except OSError:  # the client has gone
            answer.handle.stop()
            ended = True
        if ended:
            answer.connection.close()
        return not ended

    def run(self):
        while True:
            self.receive()
            if self.answers:
                self.pipeline.step()
                self.answers = [a for a in self.answers if self.forward(a)]


if __name__ == "__main__":
    Server(open_pipeline(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])), int(sys.argv[4])).run()
