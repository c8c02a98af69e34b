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

// Run executes root with args and returns the exit code. Everything that goes wrong before a command's own
// function begins (flags, arguments, unknown commands) is wrong usage. Errors are printed as one line.
func Run(root *cobra.Command, args []string) int {
	started := false
	root.SilenceErrors, root.SilenceUsage = true, true
	root.PersistentPreRun = func(*cobra.Command, []string) { started = true }
	root.SetArgs(args)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return ExitDone
	}
	fmt.Fprintf(os.Stderr, "%s: %s\n", root.Name(), oneLine(err))
	// Cobra looks for required flags only after the pre-run that sets started.
	missingFlag := strings.HasPrefix(err.Error(), "required flag")
	if usage := (usageError{}); !started || missingFlag || errors.As(err, &usage) {
		fmt.Fprintf(os.Stderr, "see: %s --help\n", cmd.CommandPath())
		return ExitUsage
	}
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
