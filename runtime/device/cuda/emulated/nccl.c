//go:build cuda

#include "nccl.h"

#include "_cgo_export.h"

static int init(void **communicator, int size, emulated_id id, int rank, emulated_config *config) {
	if (config->size < sizeof *config || config->magic != 0xcafebeef || config->blocking != 0) {
		return 4; /* ncclInvalidArgument */
	}
	return emulatedNetworkInit(communicator, size, &id, rank);
}

static const char *text(int result) { return result == 6 ? "remote process exited or there was a network error" : "emulated failure"; }

void *const emulated_nccl[] = {
	emulatedNetworkVersion, emulatedNetworkID, init, emulatedNetworkState, emulatedNetworkAbort, emulatedGroupStart, emulatedGroupEnd, emulatedNetworkSend, emulatedNetworkReceive, text,
};
