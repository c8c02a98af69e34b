// Package version names the build. It is part of a plan's provenance, so it holds neither time nor host.
package version

// commit is set by the linker (see Makefile).
var commit = "devel"

// Version is the release of both commands.
const Version = "0.1.0"

// Full returns the release and the commit that it was built from.
func Full() string { return Version + "+" + commit }
