package limits

import (
	"fmt"

	"llmc/engine"
)

// CheckInserted wants a step of a function to bring no rows in place of tokens, or a row of width numbers and a type for each token; width 0: the function takes none.
func CheckInserted(step *engine.Step, function string, width int) error {
	if len(step.Types) == 0 && len(step.Soft) == 0 {
		return nil
	}
	if width == 0 {
		return fmt.Errorf("step brings rows in place of tokens; function %s reads tokens alone", function)
	}
	if len(step.Types) != step.T() || len(step.Soft) != step.T()*width {
		return fmt.Errorf("step of %d tokens brings %d types and %d numbers; function %s takes rows of %d", step.T(), len(step.Types), len(step.Soft), function, width)
	}
	for t, kind := range step.Types {
		if kind != 0 && kind != 1 {
			return fmt.Errorf("token %d: type %d of 2", t, kind)
		}
	}
	return nil
}
