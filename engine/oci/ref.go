package oci

import (
	"fmt"
	"net"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/opencontainers/go-digest"
	"oras.land/oras-go/v2/registry"
)

// Schemes of references. What has none of them is a file where a plan is asked for, a registry where a reference is.
const (
	Scheme       = "oci://"
	LayoutScheme = "oci-layout:"
)

// Ref names a plan in a registry or in a directory, or all that a repository has.
type Ref struct {
	Registry, Repository string // of a registry
	Dir                  string // of an OCI image layout, if it is no registry
	Tag                  string
	Digest               digest.Digest // wins over the tag
}

// IsRef tells whether the name of a plan is a reference and no file.
func IsRef(text string) bool {
	return strings.HasPrefix(text, Scheme) || strings.HasPrefix(text, LayoutScheme)
}

const maxRefBytes = 1024

var tagPattern = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)

// ParseRef reads [oci://]REGISTRY/REPOSITORY[:TAG][@sha256:DIGEST], or oci-layout:DIR[:TAG][@sha256:DIGEST]. Without a tag and a digest the tag is "latest".
func ParseRef(text string) (Ref, error) {
	ref, err := ParseRepository(text)
	if err == nil && ref.Tag == "" && ref.Digest == "" {
		ref.Tag = "latest"
	}
	return ref, err
}

// ParseRepository is ParseRef for a whole repository: there need be neither tag nor digest.
func ParseRepository(text string) (Ref, error) {
	bad := func(why string) (Ref, error) {
		return Ref{}, fmt.Errorf("reference %.200q: %s; expected oci://registry/repository:tag, with @sha256:... in place of the tag or behind it, or oci-layout:DIR:tag", text, why)
	}
	if len(text) > maxRefBytes || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return bad("it is too long, or has control characters")
	}
	name, sum, pinned := strings.Cut(text, "@")
	var ref Ref
	if pinned {
		ref.Digest = digest.Digest(sum)
		if ref.Digest.Validate() != nil || ref.Digest.Algorithm() != digest.SHA256 {
			return bad("what follows @ is no sha256 digest")
		}
	}
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') && i >= len(LayoutScheme) {
		if ref.Tag = name[i+1:]; !tagPattern.MatchString(ref.Tag) {
			return bad("its tag may have up to 128 letters, digits, and _ . -")
		}
		name = name[:i]
	}
	if dir, ok := strings.CutPrefix(name, LayoutScheme); ok {
		if dir == "" {
			return bad("it names no directory")
		}
		ref.Dir = filepath.Clean(dir)
		return ref, nil
	}
	named, err := registry.ParseReference(strings.TrimPrefix(name, Scheme))
	if err != nil || named.Reference != "" {
		return bad("it is not registry/repository")
	}
	ref.Registry, ref.Repository = named.Registry, named.Repository
	return ref, nil
}

// String prints the reference as it may be given.
func (r Ref) String() string {
	text := r.repository()
	if r.Tag != "" {
		text += ":" + r.Tag
	}
	if r.Digest != "" {
		text += "@" + r.Digest.String()
	}
	return text
}

func (r Ref) repository() string {
	if r.Dir != "" {
		return LayoutScheme + r.Dir
	}
	return Scheme + r.Registry + "/" + r.Repository
}

// Name is what the plan is called where it is served: the last part of the repository.
func (r Ref) Name() string {
	if r.Dir != "" {
		return filepath.Base(r.Dir)
	}
	return path.Base(r.Repository)
}

// wanted is what a store is asked for: the digest, where there is one.
func (r Ref) wanted() string {
	if r.Digest != "" {
		return r.Digest.String()
	}
	return r.Tag
}

// onLoopback tells whether the registry is this machine.
func (r Ref) onLoopback() bool {
	host, _, err := net.SplitHostPort(r.Registry)
	if err != nil {
		host = strings.Trim(r.Registry, "[]")
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
