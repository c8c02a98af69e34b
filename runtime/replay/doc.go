// Package replay reads traces of requests, makes some, and says what servers made of them in a simulation.
package replay
