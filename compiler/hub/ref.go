package hub

import (
	"fmt"
	"regexp"
	"strings"
)

// DefaultRevision is the branch that a Ref without a revision means.
const DefaultRevision = "main"

// Ref names a repository and a state of it.
type Ref struct {
	Repo     string // org/name
	Revision string // branch, tag or commit
}

// String returns org/name@revision.
func (r Ref) String() string { return r.Repo + "@" + r.Revision }

var (
	repoID   = regexp.MustCompile(`^[A-Za-z0-9](?:[\w.-]{0,94}\w)?/[A-Za-z0-9](?:[\w.-]{0,94}\w)?$`)
	commitID = regexp.MustCompile(`^[0-9a-f]{40}$`)
	sha256ID = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// IsRef tells whether text looks like org/name or org/name@revision.
func IsRef(text string) bool {
	repo, _, _ := strings.Cut(text, "@")
	return repoID.MatchString(repo)
}

// ParseRef reads org/name or org/name@revision.
func ParseRef(text string) (Ref, error) {
	repo, revision, has := strings.Cut(text, "@")
	if !has {
		revision = DefaultRevision
	}
	// Two dashes are what the cache writes for the slash.
	if !repoID.MatchString(repo) || strings.Contains(repo, "--") || strings.Contains(repo, "..") || strings.HasSuffix(repo, ".git") {
		return Ref{}, fmt.Errorf("%s is no name of a repository: expected org/name of letters, digits, '-', '_' and '.'", clip(repo))
	}
	if err := checkName(revision); err != nil || strings.HasPrefix(revision, "-") {
		return Ref{}, fmt.Errorf("%s: %s is no revision: give a branch, a tag or a commit", repo, clip(revision))
	}
	return Ref{repo, revision}, nil
}

// pinned tells whether the revision is a commit, which never changes.
func (r Ref) pinned() bool { return commitID.MatchString(r.Revision) }
