package registry

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"llmc/engine/sign"
)

// AddPolicy adds the flag that names a policy of signatures.
func (f *Flags) AddPolicy(cmd *cobra.Command) {
	f.signed = true
	cmd.Flags().StringVar(&f.policy, "require-signature", "", "policy file (JSON) that says whose signatures plans need; nothing of a plan is used before (default: "+sign.PolicyVariable+"; docs/registry.md)")
}

// Policy reads the policy that the flag or the environment names; nil: there is none.
func (f *Flags) Policy() (*sign.Policy, error) {
	if !f.signed {
		return nil, nil
	}
	return sign.PolicyOf(f.policy)
}

// Trust says which plans a command may use: those that were held to the policy.
type Trust struct {
	policy  *sign.Policy
	checked map[string]bool // files
}

type trustKey struct{}

// TrustOf returns what a command's context has of SignedPlans.
func TrustOf(ctx context.Context) *Trust {
	t, _ := ctx.Value(trustKey{}).(*Trust)
	return t
}

// Check holds a file that the command line did not name to the policy, as a repository of models has them. Plans of the cache were held to it by their references.
func (t *Trust) Check(path string) error {
	if t == nil || t.policy == nil || t.checked[path] {
		return nil
	}
	return t.policy.Check(path)
}

// checkNamed checks what an argument names: PATH, or NAME=PATH. What is no file is for the command to refuse.
func (t *Trust) checkNamed(text string) error {
	if t.policy == nil {
		return nil
	}
	_, after, _ := strings.Cut(text, "=")
	for _, path := range []string{text, after} {
		if _, err := os.Stat(path); path == "" || errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := t.policy.Check(path); err != nil {
			return err
		}
		t.checked[path] = true
		return nil
	}
	return nil
}
