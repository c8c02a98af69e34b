//go:build cuda

#include "commands.h"

typedef CUresult (*runner)(const llmc_command *c, const uint64_t *arguments, CUstream stream);

/* The driver reads as many bytes of each slot as its parameter has. */
static CUresult point(const llmc_command *c, const uint64_t *arguments, void **pointers) {
	if (c->count > LLMC_MOST_ARGUMENTS) {
		return CUDA_ERROR_INVALID_VALUE;
	}
	for (uint32_t i = 0; i < c->count; i++) {
		pointers[i] = (void *)&arguments[c->first + i];
	}
	return CUDA_SUCCESS;
}

/* All CTAs run at the same time, or none. */
static CUresult launch_together(const llmc_command *c, const uint64_t *arguments, CUstream stream) {
	void *pointers[LLMC_MOST_ARGUMENTS];
	CUresult r = point(c, arguments, pointers);
	if (r != CUDA_SUCCESS) {
		return r;
	}
	return cuLaunchCooperativeKernel((CUfunction)(uintptr_t)c->handle, c->grid[0], c->grid[1], c->grid[2], c->threads, 1, 1, c->shared, stream, pointers);
}

static CUresult launch(const llmc_command *c, const uint64_t *arguments, CUstream stream) {
	void *pointers[LLMC_MOST_ARGUMENTS];
	CUresult r = point(c, arguments, pointers);
	if (r != CUDA_SUCCESS) {
		return r;
	}
	CUfunction function = (CUfunction)(uintptr_t)c->handle;
	if (c->early) {
		CUlaunchAttribute early = {.id = CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION, .value.programmaticStreamSerializationAllowed = 1};
		CUlaunchConfig config = {c->grid[0], c->grid[1], c->grid[2], c->threads, 1, 1, c->shared, stream, &early, 1};
		return cuLaunchKernelEx(&config, function, pointers, NULL);
	}
	return cuLaunchKernel(function, c->grid[0], c->grid[1], c->grid[2], c->threads, 1, 1, c->shared, stream, pointers, NULL);
}

static CUresult to_device(const llmc_command *c, const uint64_t *arguments, CUstream stream) {
	(void)arguments;
	return cuMemcpyHtoDAsync((CUdeviceptr)c->target, (const void *)(uintptr_t)c->source, c->bytes, stream);
}

static CUresult to_host(const llmc_command *c, const uint64_t *arguments, CUstream stream) {
	(void)arguments;
	return cuMemcpyDtoHAsync((void *)(uintptr_t)c->target, (CUdeviceptr)c->source, c->bytes, stream);
}

static CUresult graph(const llmc_command *c, const uint64_t *arguments, CUstream stream) {
	(void)arguments;
	return cuGraphLaunch((CUgraphExec)(uintptr_t)c->handle, stream);
}

static CUresult event(const llmc_command *c, const uint64_t *arguments, CUstream stream) {
	(void)arguments;
	return cuEventRecord((CUevent)(uintptr_t)c->handle, stream);
}

static CUresult clear(const llmc_command *c, const uint64_t *arguments, CUstream stream) {
	(void)arguments;
	return cuMemsetD8Async((CUdeviceptr)c->target, 0, c->bytes, stream);
}

static CUresult wait(const llmc_command *c, const uint64_t *arguments, CUstream stream) {
	(void)arguments;
	return cuStreamWaitEvent(stream, (CUevent)(uintptr_t)c->handle, 0);
}

static CUresult from_peer(const llmc_command *c, const uint64_t *arguments, CUstream stream) {
	(void)arguments;
	return cuMemcpyPeerAsync((CUdeviceptr)c->target, (CUcontext)(uintptr_t)c->contexts[0], (CUdeviceptr)c->source, (CUcontext)(uintptr_t)c->contexts[1], c->bytes, stream);
}

static const runner runners[] = {[LLMC_LAUNCH] = launch, [LLMC_LAUNCH_TOGETHER] = launch_together, [LLMC_TO_DEVICE] = to_device, [LLMC_TO_HOST] = to_host, [LLMC_GRAPH] = graph, [LLMC_EVENT] = event, [LLMC_CLEAR] = clear, [LLMC_WAIT] = wait, [LLMC_FROM_PEER] = from_peer};

CUresult llmc_submit(const llmc_command *commands, size_t n, const uint64_t *arguments, CUstream stream, size_t *done) {
	for (*done = 0; *done < n; ++*done) {
		const llmc_command *c = &commands[*done];
		CUresult r = runners[c->kind](c, arguments, stream);
		if (r != CUDA_SUCCESS) {
			return r;
		}
	}
	return CUDA_SUCCESS;
}
