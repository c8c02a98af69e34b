/* What is used of NCCL (libnccl.so.2), as its nccl.h has it since 2.14. */
#ifndef LLMC_NCCL_LOAD_H
#define LLMC_NCCL_LOAD_H

#include <stddef.h>
#include <stdint.h>

#include "cuda.h"

enum { LLMC_NCCL_ID_BYTES = 128, LLMC_NCCL_IN_PROGRESS = 7, LLMC_NCCL_OLDEST = 21400 };

typedef struct {
	char bytes[LLMC_NCCL_ID_BYTES];
} llmc_nccl_id;

/* The attributes that communicators had in 2.14: newer ones give the others their defaults. */
typedef struct {
	size_t size;
	unsigned int magic, version;
	int blocking;
} llmc_nccl_config;

enum {
	LLMC_NCCL_GET_VERSION,
	LLMC_NCCL_GET_UNIQUE_ID,
	LLMC_NCCL_INIT,
	LLMC_NCCL_ASYNC_ERROR,
	LLMC_NCCL_ABORT,
	LLMC_NCCL_GROUP_START,
	LLMC_NCCL_GROUP_END,
	LLMC_NCCL_SEND,
	LLMC_NCCL_RECV,
	LLMC_NCCL_ERROR_STRING,
	LLMC_NCCL_CALLS
};

/* Memory that is sent, or received to. */
typedef struct {
	uint64_t address, bytes;
} llmc_nccl_range;

/* Loads the library: 0, or why there is none. */
const char *llmc_nccl_open(void);
int llmc_nccl_version(int *version);
int llmc_nccl_unique(llmc_nccl_id *id);
/* Begins to make a communicator; it is there when its state is. */
int llmc_nccl_init(void **communicator, int size, const llmc_nccl_id *id, int rank);
int llmc_nccl_state(void *communicator, int *state);
int llmc_nccl_abort(void *communicator);
/* Sends or receives ranges as one group. */
int llmc_nccl_move(void *communicator, int call, const llmc_nccl_range *ranges, size_t n, int peer, CUstream stream);
const char *llmc_nccl_text(int result);
/* From now on calls are these, in the order of the numbers above; NULL: there is no library. */
void llmc_nccl_replace(void *const *calls);

#endif
