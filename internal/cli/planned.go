package cli

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Planned is a flag that the command line promises and that this version can not act on. It is known, so that whoever gives it is told
// what is missing rather than that there is no such flag; it is never ignored.
type Planned struct {
	Name     string
	Why      string   // what is missing, and what to do instead
	Switch   bool     // takes no value
	Harmless []string // values that ask for what is done anyway
}

// Set refuses every value that would change something.
func (p *Planned) Set(value string) error {
	if p.Switch {
		if on, err := strconv.ParseBool(value); err == nil && !on {
			return nil
		}
	} else if slices.Contains(p.Harmless, value) {
		return nil
	}
	return fmt.Errorf("not supported yet: %s", p.Why)
}

// String is the value of a flag that is never set.
func (p *Planned) String() string { return "" }

// Type names the value in help texts.
func (p *Planned) Type() string { return "string" }

// AddPlanned adds flags to a command, hidden from its help.
func AddPlanned(cmd *cobra.Command, flags []Planned) {
	for i := range flags {
		f := flags[i]
		flag := cmd.Flags().VarPF(&f, f.Name, "", "not supported yet: "+f.Why)
		flag.Hidden = true
		if f.Switch {
			flag.NoOptDefVal = "true"
		}
	}
}

// flagError says in one breath which flag has which value and what is wrong with it.
func flagError(_ *cobra.Command, err error) error {
	var invalid *pflag.InvalidValueError
	if !errors.As(err, &invalid) {
		return err
	}
	name, value, cause := "--"+invalid.GetFlag().Name, invalid.GetValue(), invalid.Unwrap()
	if invalid.GetFlag().NoOptDefVal != "" && value == invalid.GetFlag().NoOptDefVal {
		return fmt.Errorf("%s: %w", name, cause)
	}
	var number *strconv.NumError
	if errors.As(cause, &number) {
		cause = fmt.Errorf("is not %s", kindOf(invalid.GetFlag().Value.Type(), number))
	}
	return fmt.Errorf("%s %q: %w", name, value, cause)
}

// valueKinds words the types of flags.
var valueKinds = map[string]string{
	"int": "a whole number", "int32": "a whole number", "intSlice": "a list of whole numbers, separated by commas",
	"uint64": "a whole number of at least 0", "float32": "a number", "bool": "true or false",
}

func kindOf(flagType string, cause *strconv.NumError) string {
	kind, ok := valueKinds[flagType]
	if !ok {
		kind = "a " + flagType
	}
	if errors.Is(cause.Err, strconv.ErrRange) {
		kind += " that fits"
	}
	return kind
}
