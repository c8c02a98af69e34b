// Package nccl calls NVIDIA's NCCL, which is loaded when it is asked for and need not be there: communicators of one card each that send and receive, in turn with what a stream does. It has
// code only where build tag cuda is set. Unproven on hardware.
package nccl
