/* What is queued for a stream. */
#ifndef LLMC_CUDA_COMMANDS_H
#define LLMC_CUDA_COMMANDS_H

#include "cuda.h"

enum { LLMC_LAUNCH, LLMC_LAUNCH_TOGETHER, LLMC_TO_DEVICE, LLMC_TO_HOST, LLMC_GRAPH, LLMC_EVENT, LLMC_CLEAR, LLMC_WAIT, LLMC_FROM_PEER };
enum { LLMC_MOST_ARGUMENTS = 64 };

/* Fields that a kind does not use are 0. Pointers are numbers, so that Go may hold the list. */
typedef struct {
	uint32_t kind;
	uint32_t grid[3], threads, shared;
	uint32_t early; /* a launch that may start before the one before it has ended */
	uint32_t first, count; /* arguments of a launch, in slots of 8 bytes */
	uint64_t handle;       /* function, executable graph or event */
	uint64_t target, source, bytes;
	uint64_t contexts[2]; /* of target and source, where they are two devices' */
} llmc_command;

/* Gives n commands to a stream, one after the other; done is how many were taken. */
CUresult llmc_submit(const llmc_command *commands, size_t n, const uint64_t *arguments, CUstream stream, size_t *done);

#endif
