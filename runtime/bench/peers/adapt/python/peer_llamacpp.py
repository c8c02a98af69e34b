"""llama.cpp's library, by the Python package that its source came with: its own programs score one position less of each window than others do."""
import ctypes
import os
import sys
import types

import numpy

from adaptor import log_probabilities, main


def library(request):
    """The package's table of functions, without what it imports for its own interface."""
    peers = request["peers"]
    os.environ["LLAMA_CPP_LIB_PATH"] = os.path.join(peers, "llama.cpp", "bin")
    package = types.ModuleType("llama_cpp")
    package.__path__ = [os.path.join(peers, "llama.cpp-src", "llama_cpp")]
    sys.modules["llama_cpp"] = package
    import llama_cpp.llama_cpp

    return llama_cpp.llama_cpp


def open_scorer(request):
    lib = library(request)
    lib.llama_backend_init()
    model = lib.llama_model_load_from_file(request["model"].encode(), lib.llama_model_default_params())
    assert model, request["model"]
    words = lib.llama_vocab_n_tokens(lib.llama_model_get_vocab(model))
    params = lib.llama_context_default_params()
    params.n_ctx = params.n_batch = params.n_ubatch = request["window"]
    params.n_threads = params.n_threads_batch = request["threads"]
    context = lib.llama_init_from_model(model, params)
    batch = lib.llama_batch_init(request["window"], 0, 1)

    def score(ids, first):
        lib.llama_memory_clear(lib.llama_get_memory(context), True)
        batch.n_tokens = len(ids)
        for i, token in enumerate(ids):
            batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.seq_id[i][0] = token, i, 1, 0
            batch.logits[i] = first - 1 <= i < len(ids) - 1
        assert lib.llama_decode(context, batch) == 0
        rows = ctypes.cast(lib.llama_get_logits(context), ctypes.POINTER(ctypes.c_float))
        logits = numpy.ctypeslib.as_array(rows, (len(ids) - first, words))
        return log_probabilities(logits, ids[first:])

    return score


if __name__ == "__main__":
    main(None, open_scorer)
