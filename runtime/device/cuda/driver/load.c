//go:build cuda

#include "load.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int opened;    /* nothing is loaded a second time */
static void *library; /* stays loaded: the driver does not support being unloaded */
static char reason[256];

/* The caller holds the lock. */
static void open_library(void) {
	if (opened) {
		return;
	}
	opened = 1;
	library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
	if (!library) {
		const char *why = dlerror();
		snprintf(reason, sizeof reason, "%s", why ? why : "libcuda.so.1 can not be loaded");
	}
}

void *llmc_cuda_entry(int call) {
	void *f = __atomic_load_n(&llmc_cuda_table[call], __ATOMIC_ACQUIRE);
	if (f) {
		return f;
	}
	pthread_mutex_lock(&lock);
	open_library();
	if (library) {
		f = dlsym(library, llmc_cuda_names[call]);
		__atomic_store_n(&llmc_cuda_table[call], f, __ATOMIC_RELEASE);
	}
	pthread_mutex_unlock(&lock);
	return f;
}

CUresult llmc_cuda_missing(void) {
	pthread_mutex_lock(&lock);
	CUresult r = library ? CUDA_ERROR_SHARED_OBJECT_SYMBOL_NOT_FOUND : CUDA_ERROR_SHARED_OBJECT_INIT_FAILED;
	pthread_mutex_unlock(&lock);
	return r;
}

CUresult llmc_cuda_start(void) {
	for (int i = 0; i < llmc_cuda_calls; i++) {
		if (strcmp(llmc_cuda_names[i], "cuInit") == 0) {
			CUresult (*f)(unsigned int) = llmc_cuda_entry(i);
			return f ? f(0) : llmc_cuda_missing();
		}
	}
	return CUDA_ERROR_NOT_FOUND;
}

const char *llmc_cuda_reason(void) { return reason; }

void llmc_cuda_replace(void *const *calls) {
	pthread_mutex_lock(&lock);
	opened = 1;
	library = NULL;
	snprintf(reason, sizeof reason, "the emulated driver does not have this call");
	for (int i = 0; i < llmc_cuda_calls; i++) {
		__atomic_store_n(&llmc_cuda_table[i], calls[i], __ATOMIC_RELEASE);
	}
	pthread_mutex_unlock(&lock);
}
