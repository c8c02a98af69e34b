package hub

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Causes of errors.
var (
	ErrNotFound = errors.New("not found")              // the repository, the revision or the file
	ErrDenied   = errors.New("access denied")          // private, or a token that is not valid
	ErrGated    = errors.New("gated")                  // a licence has to be accepted first
	ErrOffline  = errors.New("not in the cache")       // and nothing may be downloaded
	ErrServer   = errors.New("the server did not do")  // unreachable, overloaded, broken, after several tries
	ErrAnswer   = errors.New("not an answer of a Hub") // what came is not what the Hub's HTTP promises, or absurd
	ErrCorrupt  = errors.New("damaged on the way")     // what came is not what the Hub lists
	ErrSpace    = errors.New("the disk is too full")   // for what is to be downloaded
)

// Error says what went wrong with which repository.
type Error struct {
	Repo string
	File string // "" when it is not about one
	Kind error  // one of the causes above
	Text string // one line: what is wrong, and what to do
}

// Error returns one line.
func (e *Error) Error() string {
	if e.File != "" {
		return fmt.Sprintf("%s: %s: %s", e.Repo, clip(e.File), e.Text)
	}
	return e.Repo + ": " + e.Text
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Kind }

// errorf makes an *Error that is about no file yet.
func (r *repo) errorf(kind error, format string, args ...any) error {
	return &Error{Repo: r.ref.Repo, Kind: kind, Text: fmt.Sprintf(format, args...)}
}

// about names the file in an error that does not name one.
func about(file string, err error) error {
	if e := (*Error)(nil); errors.As(err, &e) && e.File == "" {
		named := *e
		named.File = file
		return &named
	}
	return err
}

// clip makes text from outside fit for a message: one line without control characters, of bounded length.
func clip(text string) string {
	const most = 160
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "..."
	}
	quoted := strconv.QuoteToGraphic(text)
	if inner := quoted[1 : len(quoted)-1]; inner == text {
		return text
	}
	return quoted
}
