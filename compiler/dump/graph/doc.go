// Package graph owns pictures of IR functions: which ops are repetitions of one block, and where ops and edges lie. It draws nothing itself.
package graph
