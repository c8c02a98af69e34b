package dump

import (
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"llmc/engine"
)

// Comparison is the report of `llmc diff`: what two plans do not have in common.
type Comparison struct {
	Same        bool         `json:"same"` // all bytes are
	Digests     [2]string    `json:"digests"`
	Bytes       [2]int64     `json:"bytes"`
	Differences []Difference `json:"differences"`
	Weights     WeightCounts `json:"weights"`

	Layers []LayerDifference `json:"layers,omitempty"` // where values of weights were compared; Values too
	Values []WeightValues    `json:"values,omitempty"`
}

// Difference is one thing that two plans have differently. nil is absence.
type Difference struct {
	What string  `json:"what"` // model, option, source, program, section, rule, weight
	Name string  `json:"name"`
	Old  *string `json:"old"`
	New  *string `json:"new"`
}

// WeightCounts says how many weights of the two plans are the same, by name.
type WeightCounts struct {
	Same    int `json:"same"`    // bytes and form
	Numbers int `json:"numbers"` // the same form, other bytes
	Form    int `json:"form"`    // another shape, format or layout
	OnlyOld int `json:"only_old"`
	OnlyNew int `json:"only_new"`
}

// facts are what one plan says about itself, in order: what, name, value.
type facts struct {
	order  []factKey
	values map[factKey]string
}

type factKey struct{ what, name string }

func (f *facts) add(what, name, format string, args ...any) {
	key := factKey{what, name}
	if _, twice := f.values[key]; !twice {
		f.order = append(f.order, key)
	}
	f.values[key] = fmt.Sprintf(format, args...)
}

// Compare finds the differences of two plans. What they are called and how they lie in their files is none.
func Compare(before, after *engine.Plan) (*Comparison, error) {
	c := &Comparison{
		Same: before.Digest() == after.Digest(), Digests: [2]string{before.Digest(), after.Digest()},
		Bytes: [2]int64{before.Header().FileSize, after.Header().FileSize}, Differences: []Difference{},
	}
	a, err := factsOf(before)
	if err != nil {
		return nil, err
	}
	b, err := factsOf(after)
	if err != nil {
		return nil, err
	}
	c.compare(a, b)
	c.countWeights(before, after)
	return c, nil
}

func (c *Comparison) compare(a, b *facts) {
	value := func(f *facts, key factKey) *string {
		if v, ok := f.values[key]; ok {
			return &v
		}
		return nil
	}
	for _, key := range a.order {
		x, y := value(a, key), value(b, key)
		if y == nil || *x != *y {
			c.Differences = append(c.Differences, Difference{key.what, key.name, x, y})
		}
	}
	for _, key := range b.order {
		if value(a, key) == nil {
			c.Differences = append(c.Differences, Difference{key.what, key.name, nil, value(b, key)})
		}
	}
}

// factsOf lists everything of a plan that a difference may be in.
func factsOf(p *engine.Plan) (*facts, error) {
	f := &facts{values: map[factKey]string{}}
	h, info := p.Header(), p.Info()
	f.add("format", "version", "%d.%d", h.Major, h.Minor)
	for _, row := range modelFacts {
		f.add("model", row.name, "%v", row.value(&info))
	}
	if err := f.addProvenance(p); err != nil {
		return nil, err
	}
	for _, name := range p.Names(engine.KindProgram) {
		function, target, _ := strings.Cut(name, "/")
		program, err := p.Program(function, target)
		if err != nil {
			return nil, err
		}
		counts := map[string]int{}
		for i := range program.Launches {
			counts[program.Launches[i].Kernel]++
		}
		f.add("program", name, "%d launches", len(program.Launches))
		if c, err := newCubinInfo(p, target); err != nil {
			return nil, err
		} else if c != nil {
			f.add("program", name+" cubin", "%v", c)
		}
		for i := range program.Launches {
			kernel := program.Launches[i].Kernel
			f.add("program", name+" "+kernel, "%d launches", counts[kernel])
		}
	}
	for _, s := range h.Sections {
		if s.Kind != engine.KindWeights {
			f.add("section", strings.TrimSpace(s.Kind+" "+s.Name), "%d bytes, sha256 %s", s.Size, hex.EncodeToString(s.SHA256))
		}
	}
	for i := range h.Weights {
		w := &h.Weights[i]
		f.add("weight", w.Name, "%s, sha256 %s", weightForm(w), hex.EncodeToString(w.SHA256))
	}
	return f, nil
}

// modelFacts are the fields of a plan's model that differ between models.
var modelFacts = []struct {
	name  string
	value func(*engine.ModelInfo) any
}{
	{"family", func(m *engine.ModelInfo) any { return m.Family }},
	{"layers", func(m *engine.ModelInfo) any { return m.Layers }},
	{"hidden", func(m *engine.ModelInfo) any { return m.Hidden }},
	{"heads", func(m *engine.ModelInfo) any { return m.Heads }},
	{"kv_heads", func(m *engine.ModelInfo) any { return m.KVHeads }},
	{"head_dim", func(m *engine.ModelInfo) any { return m.HeadDim }},
	{"vocab", func(m *engine.ModelInfo) any { return m.Vocab }},
	{"max_context", func(m *engine.ModelInfo) any { return m.MaxContext }},
	{"parameters", func(m *engine.ModelInfo) any { return m.Parameters }},
	{"quant", func(m *engine.ModelInfo) any { return m.Quant }},
	{"bits_per_weight", func(m *engine.ModelInfo) any { return m.BitsPerW }},
	{"bos", func(m *engine.ModelInfo) any { return m.BOS }},
	{"eos", func(m *engine.ModelInfo) any { return m.EOS }},
}

// addProvenance adds what the plan was made from. A plan need not say.
func (f *facts) addProvenance(p *engine.Plan) error {
	if len(p.Names(engine.KindProvenance)) == 0 {
		return nil
	}
	provenance, err := p.Provenance()
	if err != nil {
		return err
	}
	f.add("compiler", "version", "%s", provenance.Compiler)
	if provenance.Model != "" {
		f.add("hub", provenance.Model, "commit %s", provenance.Revision)
	}
	for _, o := range provenance.Options {
		f.add("option", o.Name, "%s", o.Value)
	}
	for _, s := range provenance.Files {
		f.add("source", s.Name, "%d bytes, sha256 %s", s.Bytes, hex.EncodeToString(s.SHA256))
	}
	return nil
}

// weightForm is what a kernel has to know of a weight.
func weightForm(w *engine.WeightEntry) string {
	format := w.Format
	if format == "" {
		format = w.DType
	}
	return strings.TrimSpace(fmt.Sprintf("%s%v %s", format, w.Shape, w.Layout))
}

func (c *Comparison) countWeights(before, after *engine.Plan) {
	old := map[string]*engine.WeightEntry{}
	for i := range before.Weights() {
		w := &before.Weights()[i]
		old[w.Name] = w
	}
	for i := range after.Weights() {
		w := &after.Weights()[i]
		was := old[w.Name]
		delete(old, w.Name)
		switch {
		case was == nil:
			c.Weights.OnlyNew++
		case weightForm(was) != weightForm(w):
			c.Weights.Form++
		case string(was.SHA256) != string(w.SHA256):
			c.Weights.Numbers++
		default:
			c.Weights.Same++
		}
	}
	c.Weights.OnlyOld = len(old)
}

// shownWeights is how many weights are printed for people: as a rule all differ, or none.
const shownWeights = 8

// WriteText prints a comparison for people: hashes are shortened.
func (c *Comparison) WriteText(w io.Writer) error {
	if c.Same {
		_, err := fmt.Fprintf(w, "the same plan: %s\n", c.Digests[0])
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "digest\t%s\t%s\n", short(c.Digests[0]), short(c.Digests[1]))
	fmt.Fprintf(t, "bytes\t%d\t%d\n", c.Bytes[0], c.Bytes[1])
	weights := 0
	for _, d := range c.Differences {
		if d.What == "weight" {
			if weights++; weights > shownWeights {
				continue
			}
		}
		fmt.Fprintf(t, "%s %s\t%s\t%s\n", d.What, d.Name, side(d.Old), side(d.New))
	}
	if more := weights - shownWeights; more > 0 {
		fmt.Fprintf(t, "weight ...\t%d more, --json lists them\t\n", more)
	}
	n := c.Weights
	fmt.Fprintf(t, "weights\t%d the same, %d with other numbers, %d in another form\t%d only in the first, %d only in the second\n",
		n.Same, n.Numbers, n.Form, n.OnlyOld, n.OnlyNew)
	if err := t.Flush(); err != nil {
		return err
	}
	return c.writeLayers(w)
}

func side(value *string) string {
	if value == nil {
		return "-"
	}
	return short(*value)
}

// short cuts the hash at the end of a value to what tells plans apart in practice.
func short(value string) string {
	const digits = 12
	if at := strings.LastIndexAny(value, " :"); at >= 0 && len(value)-at-1 == hex.EncodedLen(32) {
		return value[:at+1+digits]
	}
	return value
}
