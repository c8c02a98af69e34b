/* How the calls of the driver find it. */
#ifndef LLMC_CUDA_LOAD_H
#define LLMC_CUDA_LOAD_H

#include "cuda.h"

extern const char *const llmc_cuda_names[];
extern const int llmc_cuda_calls;
extern void *llmc_cuda_table[]; /* by call: its address once known */

/* The address of a call, NULL if there is none. */
void *llmc_cuda_entry(int call);
/* What a call answers that there is no address of. */
CUresult llmc_cuda_missing(void);
/* cuInit in earnest. */
CUresult llmc_cuda_start(void);
/* Why there is no library, "" if there is one. */
const char *llmc_cuda_reason(void);
/* From now on calls are those of an emulated driver, one after the other in the order of the names; NULL where it has none. */
void llmc_cuda_replace(void *const *calls);

#endif
