//go:build cuda

#include "load.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int opened; /* nothing is loaded a second time */
static char reason[256];
static void *table[LLMC_NCCL_CALLS];

static const char *const names[LLMC_NCCL_CALLS] = {
	[LLMC_NCCL_GET_VERSION] = "ncclGetVersion",       [LLMC_NCCL_GET_UNIQUE_ID] = "ncclGetUniqueId", [LLMC_NCCL_INIT] = "ncclCommInitRankConfig",
	[LLMC_NCCL_ASYNC_ERROR] = "ncclCommGetAsyncError", [LLMC_NCCL_ABORT] = "ncclCommAbort",           [LLMC_NCCL_GROUP_START] = "ncclGroupStart",
	[LLMC_NCCL_GROUP_END] = "ncclGroupEnd",            [LLMC_NCCL_SEND] = "ncclSend",                 [LLMC_NCCL_RECV] = "ncclRecv",
	[LLMC_NCCL_ERROR_STRING] = "ncclGetErrorString",
};

/* The caller holds the lock. */
static void open_library(void) {
	void *library = dlopen("libnccl.so.2", RTLD_NOW | RTLD_LOCAL);
	if (!library) {
		const char *why = dlerror();
		snprintf(reason, sizeof reason, "%s", why ? why : "libnccl.so.2 can not be loaded");
		return;
	}
	for (int i = 0; i < LLMC_NCCL_CALLS; i++) {
		table[i] = dlsym(library, names[i]);
		if (!table[i]) {
			snprintf(reason, sizeof reason, "libnccl.so.2 is too old: it has no %s", names[i]);
			return;
		}
	}
}

const char *llmc_nccl_open(void) {
	pthread_mutex_lock(&lock);
	if (!opened) {
		opened = 1;
		open_library();
	}
	pthread_mutex_unlock(&lock);
	return reason[0] ? reason : NULL;
}

int llmc_nccl_version(int *version) { return ((int (*)(int *))table[LLMC_NCCL_GET_VERSION])(version); }

int llmc_nccl_unique(llmc_nccl_id *id) { return ((int (*)(llmc_nccl_id *))table[LLMC_NCCL_GET_UNIQUE_ID])(id); }

/* Calls of the communicator do not block, so that who waits for members, or for a network that is stuck, can give up. */
int llmc_nccl_init(void **communicator, int size, const llmc_nccl_id *id, int rank) {
	llmc_nccl_config config = {.size = sizeof config, .magic = 0xcafebeef, .version = LLMC_NCCL_OLDEST, .blocking = 0};
	return ((int (*)(void **, int, llmc_nccl_id, int, llmc_nccl_config *))table[LLMC_NCCL_INIT])(communicator, size, *id, rank, &config);
}

int llmc_nccl_state(void *communicator, int *state) { return ((int (*)(void *, int *))table[LLMC_NCCL_ASYNC_ERROR])(communicator, state); }

int llmc_nccl_abort(void *communicator) { return ((int (*)(void *))table[LLMC_NCCL_ABORT])(communicator); }

enum { BYTES_OF_ONE = 0 /* ncclInt8 */ };

int llmc_nccl_move(void *communicator, int call, const llmc_nccl_range *ranges, size_t n, int peer, CUstream stream) {
	int r = ((int (*)(void))table[LLMC_NCCL_GROUP_START])();
	if (r) {
		return r;
	}
	for (size_t i = 0; i < n && (r == 0 || r == LLMC_NCCL_IN_PROGRESS); i++) {
		r = ((int (*)(void *, size_t, int, int, void *, CUstream))table[call])((void *)(uintptr_t)ranges[i].address, ranges[i].bytes, BYTES_OF_ONE, peer, communicator, stream);
	}
	int end = ((int (*)(void))table[LLMC_NCCL_GROUP_END])();
	return r && r != LLMC_NCCL_IN_PROGRESS ? r : end;
}

const char *llmc_nccl_text(int result) { return ((const char *(*)(int))table[LLMC_NCCL_ERROR_STRING])(result); }

void llmc_nccl_replace(void *const *calls) {
	pthread_mutex_lock(&lock);
	opened = 1;
	reason[0] = 0;
	if (calls) {
		memcpy(table, calls, sizeof table);
	} else {
		snprintf(reason, sizeof reason, "libnccl.so.2: the emulated driver has none");
	}
	pthread_mutex_unlock(&lock);
}
