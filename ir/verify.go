package ir

import (
	"fmt"
	"slices"

	"llmc/internal/dtype"
)

// Bounds of tables that are searched front to back, and of the parts of an activation arena.
const (
	maxFuncs  = 64
	maxCaches = 64
	maxSlots  = 1 << 16
)

// VerifyError says which function, and which op of it, is wrong.
type VerifyError struct {
	Func *Func
	Op   *Op // nil: the function as a whole
	Err  error
}

func (e *VerifyError) Error() string {
	if e.Op == nil {
		return fmt.Sprintf("function @%s: %v", e.Func.Name, e.Err)
	}
	return fmt.Sprintf("function @%s, op %d (%s): %v", e.Func.Name, slices.Index(e.Func.Ops, e.Op), label(e.Op), e.Err)
}

func (e *VerifyError) Unwrap() error { return e.Err }

// Verify checks everything that later stages rely on. The error names function, op and value.
func Verify(m *Module) error {
	v := verifier{m: m, weights: map[*Value]bool{}, names: map[string]bool{}}
	if err := v.declarations(); err != nil {
		return err
	}
	names := map[string]bool{}
	if len(m.Funcs) > maxFuncs {
		return fmt.Errorf("%d functions, at most %d", len(m.Funcs), maxFuncs)
	}
	for _, f := range m.Funcs {
		if !validName(f.Name) || names[f.Name] {
			return fmt.Errorf("function @%s: bad or repeated name", clip(f.Name))
		}
		names[f.Name] = true
		if err := v.function(f); err != nil {
			return err
		}
	}
	return nil
}

type verifier struct {
	m       *Module
	weights map[*Value]bool
	names   map[string]bool // of weights
}

func (v *verifier) declarations() error {
	caches := map[string]bool{}
	if n := v.m.Cards; n != 0 && (n < 2 || n > MaxCards) {
		return fmt.Errorf("%d cards, not 2 to %d", n, MaxCards)
	}
	if len(v.m.Caches) > maxCaches {
		return fmt.Errorf("%d caches, at most %d", len(v.m.Caches), maxCaches)
	}
	for _, c := range v.m.Caches {
		if err := c.check(); err != nil {
			return err
		}
		if caches[c.Name] {
			return fmt.Errorf("cache @%s is declared twice", c.Name)
		}
		caches[c.Name] = true
	}
	for _, w := range v.m.Weights {
		if err := w.check(v.m.Cards); err != nil {
			return err
		}
		if v.names[w.Name] {
			return fmt.Errorf("weight %%%s is declared twice", w.Name)
		}
		v.names[w.Name] = true
		v.weights[&w.Value] = true
	}
	return nil
}

// cacheKinds are the kinds of state that ops know.
var cacheKinds = []string{Paged, Cross, Latent, State}

func (c *Cache) check() error {
	const maxCacheSize = 1 << 20 // layers, heads, channels: far beyond any model
	switch {
	case !validName(c.Name):
		return fmt.Errorf("cache @%s: bad name", clip(c.Name))
	case !slices.Contains(cacheKinds, c.Kind):
		return fmt.Errorf("cache @%s: kind %q must be one of %q%s", c.Name, clip(c.Kind), cacheKinds, hint(c.Kind, cacheKinds))
	case min(c.Layers, c.KVHeads, c.Dim) < 1 || max(c.Layers, c.KVHeads, c.Dim) > maxCacheSize:
		return fmt.Errorf("cache @%s: layers, kv_heads and dim must be within 1..%d", c.Name, maxCacheSize)
	case c.Kind == Latent && (c.KVHeads != 1 || c.Rank < 1 || c.Rank >= c.Dim):
		return fmt.Errorf("cache @%s: a latent cache has one of kv_heads and a rank within 1..dim-1", c.Name)
	case c.Kind == State && (c.Rank < 1 || c.Rank >= c.KVHeads || c.Dim%StateLanes != 0 || c.DType != dtype.F32):
		return fmt.Errorf("cache @%s: a state is of f32, and has a rank within 1..kv_heads-1 and a multiple of %d channels", c.Name, StateLanes)
	case c.Kind != Latent && c.Kind != State && c.Rank != 0:
		return fmt.Errorf("cache @%s: rank belongs to kinds %q and %q", c.Name, Latent, State)
	case c.DType.Bits() == 0:
		return fmt.Errorf("cache @%s: no dtype", c.Name)
	}
	return nil
}

var axes = []string{"", "row", "col"}

func (w *Weight) check(cards int64) error {
	if !validName(w.Name) {
		return fmt.Errorf("weight %%%s: bad name", clip(w.Name))
	}
	if w.Value.Weight != w || w.Def != nil {
		return fmt.Errorf("weight %%%s: its value belongs to something else", w.Name)
	}
	if err := w.Type.check(); err != nil {
		return fmt.Errorf("weight %%%s: %w", w.Name, err)
	}
	rows, cols, ok := w.Type.Matrix()
	if !ok || w.Type.IsToken() {
		return fmt.Errorf("weight %%%s: type %v is not of fixed size", w.Name, w.Type)
	}
	if !slices.Contains(axes, w.Axis) || w.Segment < 0 || w.Segment > maxDim {
		return fmt.Errorf("weight %%%s: bad axis %q or segment %d", w.Name, clip(w.Axis), w.Segment)
	}
	if err := w.checkFormat(); err != nil {
		return fmt.Errorf("weight %%%s: %w", w.Name, err)
	}
	if w.Recipe == nil {
		return fmt.Errorf("weight %%%s has no recipe", w.Name)
	}
	if w.Part != nil {
		whole := w.Whole(cards)
		if err := w.Part.check(whole, cards); err != nil {
			return fmt.Errorf("weight %%%s: %w", w.Name, err)
		}
		rows, cols, _ = whole.Type.Matrix()
	}
	if err := w.Recipe.check(cols, 0); err != nil {
		return fmt.Errorf("weight %%%s: %w", w.Name, err)
	}
	if got := w.Recipe.Rows(cols); got != rows {
		return fmt.Errorf("weight %%%s: its recipe gives %d rows instead of %d", w.Name, got, rows)
	}
	return nil
}

func (w *Weight) checkFormat() error {
	if w.Type.Quant == "" {
		if w.Type.DType == dtype.U4 {
			return fmt.Errorf("type %v: codes without a format", w.Type)
		}
		return nil
	}
	base, group := SplitQuant(w.Type.Quant)
	for _, f := range WeightFormats {
		if f.Base == base && f.Grouped == (group > 0) && f.Code == w.Type.DType {
			return nil
		}
	}
	return fmt.Errorf("type %v: unknown weight format, or one with other codes", w.Type)
}
