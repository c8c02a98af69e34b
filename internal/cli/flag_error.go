package cli

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// flagError says in one breath which flag has which value and what is wrong with it.
func flagError(_ *cobra.Command, err error) error {
	var invalid *pflag.InvalidValueError
	if !errors.As(err, &invalid) {
		return err
	}
	name, value, cause := "--"+invalid.GetFlag().Name, invalid.GetValue(), invalid.Unwrap()
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
