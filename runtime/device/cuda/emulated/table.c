//go:build cuda

#include "table.h"

#include "_cgo_export.h"

static __thread CUcontext current;

CUresult emulated_set_current(CUcontext context) {
	current = context;
	return CUDA_SUCCESS;
}

CUcontext emulated_current(void) { return current; }

const emulated_call emulated_calls[] = {
	{"cuInit", emulatedInit},
	{"cuGetErrorName", emulatedErrorName},
	{"cuGetErrorString", emulatedErrorString},
	{"cuDriverGetVersion", emulatedVersion},
	{"cuDeviceGetCount", emulatedDeviceCount},
	{"cuDeviceGet", emulatedDevice},
	{"cuDeviceGetName", emulatedDeviceName},
	{"cuDeviceGetAttribute", emulatedDeviceAttribute},
	{"cuDevicePrimaryCtxRetain", emulatedRetain},
	{"cuDevicePrimaryCtxRelease_v2", emulatedRelease},
	{"cuCtxSetCurrent", emulated_set_current},
	{"cuDeviceCanAccessPeer", emulatedCanAccessPeer},
	{"cuCtxEnablePeerAccess", emulatedEnablePeerAccess},
	{"cuMemGetInfo_v2", emulatedMemInfo},
	{"cuMemAlloc_v2", emulatedMemAlloc},
	{"cuMemFree_v2", emulatedMemFree},
	{"cuMemsetD8Async", emulatedClear},
	{"cuMemHostAlloc", emulatedHostAlloc},
	{"cuMemFreeHost", emulatedHostFree},
	{"cuMemcpyHtoDAsync_v2", emulatedToDevice},
	{"cuMemcpyDtoHAsync_v2", emulatedToHost},
	{"cuStreamCreate", emulatedStream},
	{"cuStreamDestroy_v2", emulatedStreamDestroy},
	{"cuStreamSynchronize", emulatedStreamSynchronize},
	{"cuStreamWaitEvent", emulatedStreamWait},
	{"cuMemcpyPeerAsync", emulatedFromPeer},
	{"cuEventCreate", emulatedEvent},
	{"cuEventDestroy_v2", emulatedEventDestroy},
	{"cuEventRecord", emulatedEventRecord},
	{"cuEventSynchronize", emulatedEventSynchronize},
	{"cuEventElapsedTime", emulatedElapsed},
	{"cuModuleLoadData", emulatedLoad},
	{"cuModuleLoadDataEx", emulatedLoadWith},
	{"cuModuleUnload", emulatedUnload},
	{"cuModuleGetFunction", emulatedFunction},
	{"cuFuncGetAttribute", emulatedFunctionAttribute},
	{"cuFuncSetAttribute", emulatedSetFunctionAttribute},
	{"cuLaunchKernel", emulatedLaunch},
	{"cuLaunchKernelEx", emulatedLaunchWith},
	{"cuLaunchCooperativeKernel", emulatedLaunchTogether},
	{"cuOccupancyMaxActiveBlocksPerMultiprocessor", emulatedOccupancy},
	{"cuStreamBeginCapture_v2", emulatedBeginCapture},
	{"cuStreamEndCapture", emulatedEndCapture},
	{"cuGraphInstantiateWithFlags", emulatedInstantiate},
	{"cuGraphUpload", emulatedGraphUpload},
	{"cuGraphLaunch", emulatedGraphLaunch},
	{"cuGraphDestroy", emulatedGraphDestroy},
	{"cuGraphExecDestroy", emulatedGraphExecDestroy},
};

const int emulated_count = sizeof emulated_calls / sizeof emulated_calls[0];
