// Package cli holds what both commands share at the terminal: exit codes, one-line errors, JSON results, progress.
package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// Exit codes of both commands.
const (
	ExitDone   = 0
	ExitFailed = 1
	ExitUsage  = 2
)

// usageError marks an error as wrong usage.
type usageError struct{ error }

func (u usageError) Unwrap() error { return u.error }

// Usagef returns an error that makes the command exit with ExitUsage.
func Usagef(format string, args ...any) error {
	return usageError{fmt.Errorf(format, args...)}
}

// errInterrupted is the cause of a context that a signal ended.
var errInterrupted = errors.New("interrupted")

// Drains is the annotation of commands that take their own time to end after a signal.
const Drains = "drains"

// endWithin is how long other commands have to tidy up after a signal. One that waits in a system call, for the other end of a named
// pipe, say, never hears of it.
const endWithin = 5 * time.Second

// Run executes root with args and returns the exit code. Everything that goes wrong before a command's own
// function begins (flags, arguments, unknown commands) is wrong usage. Errors are printed as one line.
func Run(root *cobra.Command, args []string) int {
	started := false
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetFlagErrorFunc(flagError)
	ctx, stop := untilSignal()
	defer stop()
	finished := make(chan struct{})
	defer close(finished)
	root.PersistentPreRun = func(cmd *cobra.Command, _ []string) {
		started = true
		if cmd.Annotations[Drains] == "" {
			go func() {
				if outlives(ctx, finished) {
					os.Exit(failed(root, errInterrupted))
				}
			}()
		}
	}
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return ExitDone
	}
	if ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.Cause(ctx))) {
		err = errInterrupted
	}
	failed(root, err)
	// Cobra looks for required flags only after the pre-run that sets started.
	missingFlag := strings.HasPrefix(err.Error(), "required flag")
	if usage := (usageError{}); !started || missingFlag || errors.As(err, &usage) {
		fmt.Fprintf(os.Stderr, "see: %s --help\n", cmd.CommandPath())
		return ExitUsage
	}
	return ExitFailed
}

// outlives tells whether a command goes on for longer than it may once ctx has ended.
func outlives(ctx context.Context, finished <-chan struct{}) bool {
	select {
	case <-ctx.Done():
	case <-finished:
		return false
	}
	select {
	case <-time.After(endWithin):
		return true
	case <-finished:
		return false
	}
}

// untilSignal returns a context that the first interrupt or SIGTERM ends. The second ends the process.
func untilSignal() (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		signal.Stop(signals)
		cancel(errInterrupted)
	}()
	return ctx, func() { signal.Stop(signals); cancel(nil) }
}

func failed(root *cobra.Command, err error) int {
	fmt.Fprintf(os.Stderr, "%s: %s\n", root.Name(), oneLine(err))
	return ExitFailed
}

func oneLine(err error) string {
	return strings.Join(strings.Fields(strings.ReplaceAll(err.Error(), "\n", "; ")), " ")
}

// PrintJSON writes v as one line of JSON.
func PrintJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
