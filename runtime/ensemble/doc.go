// Package ensemble wires models together by tensors: which step makes which tensor of which others (Graph), how steps run, at the same time where they can, and what
// is computed beside models: a closed table of small steps (Kinds), and models of other servers (Remote).
//
// It must not know how a model of this process is found, held or run: a caller computes steps (Call).
package ensemble
