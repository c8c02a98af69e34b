// Package cachedir owns the directory of what can be made or fetched again: where it is, how large it may get, what goes first, which process works on what, and
// which files are known not to have changed since they were hashed. What lies in its parts is for others to say.
package cachedir
