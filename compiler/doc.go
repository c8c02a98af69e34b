// Package compiler builds plans: it imports a checkpoint, runs the passes, generates a program for each target and streams
// the packed weights into the plan file. It needs no device, and no more memory for a large model than for a small one.
package compiler
