//go:build cuda

package shim

import (
	"reflect"
	"testing"

	"gorgonia.org/cu"
)

// TestHandles wants cu's types to be what the conversions take them for: one pointer.
func TestHandles(t *testing.T) {
	for _, v := range []any{cu.Function{}, cu.Stream{}, cu.Event{}, cu.Graph{}, cu.ExecGraph{}} {
		if typ := reflect.TypeOf(v); typ.NumField() != 1 || typ.Field(0).Type.Kind() != reflect.Pointer {
			t.Errorf("%v is not one pointer", typ)
		}
	}
}
