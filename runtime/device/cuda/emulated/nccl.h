/* The emulated NCCL. */
#ifndef LLMC_EMULATED_NCCL_H
#define LLMC_EMULATED_NCCL_H

#include "table.h"

typedef struct {
	char bytes[128];
} emulated_id;

typedef struct {
	size_t size;
	unsigned int magic, version;
	int blocking;
} emulated_config;

/* Calls in the order of their numbers in package nccl. */
extern void *const emulated_nccl[];

#endif
