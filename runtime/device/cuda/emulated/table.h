/* The calls that the emulated driver has. */
#ifndef LLMC_EMULATED_TABLE_H
#define LLMC_EMULATED_TABLE_H

#include <stdlib.h>

#include "cuda.h"

typedef struct {
	const char *symbol;
	void *function;
} emulated_call;

extern const emulated_call emulated_calls[];
extern const int emulated_count;

/* The context of the calling thread. */
CUresult emulated_set_current(CUcontext context);
CUcontext emulated_current(void);

#endif
