package dump

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"llmc/engine"
)

// PTX is the code of one target, cut into its entries.
type PTX struct {
	Target  string     `json:"target"`
	Head    string     `json:"head"` // what stands before the first entry: version, target, address size
	Entries []PTXEntry `json:"entries"`
}

// PTXEntry is the text of one kernel.
type PTXEntry struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

// entryStart matches the directive that begins an entry (PTX ISA, "Kernel and Function Directives: .entry").
var entryStart = regexp.MustCompile(`^[ \t]*(?:\.visible[ \t]+|\.weak[ \t]+)?\.entry[ \t]+([a-zA-Z_$%][a-zA-Z0-9_$]*)`)

// NewPTX cuts the text of a target's code.
func NewPTX(target, text string) *PTX {
	p := &PTX{Target: target, Head: text}
	starts := entryStarts(text)
	for i, at := range starts {
		end := len(text)
		if i+1 < len(starts) {
			end = starts[i+1].from
		} else {
			p.Head = text[:starts[0].from]
		}
		p.Entries = append(p.Entries, PTXEntry{at.name, strings.TrimRight(text[at.from:end], "\n") + "\n"})
	}
	return p
}

// entryPlace is where the line lies that begins an entry.
type entryPlace struct {
	from int
	name string
}

func entryStarts(text string) (starts []entryPlace) {
	from := 0
	for line := range strings.Lines(text) {
		if strings.Contains(line, ".entry") { // most lines of megabytes do not
			if m := entryStart.FindStringSubmatch(line); m != nil {
				starts = append(starts, entryPlace{from, m[1]})
			}
		}
		from += len(line)
	}
	return starts
}

// FindPTX returns the code that name stands for: all of a target (TARGET), or one entry (TARGET/ENTRY, or ENTRY of every target that has it).
func FindPTX(p *engine.Plan, name string) ([]*PTX, error) {
	targets := p.Names(engine.KindPTX)
	if len(targets) == 0 {
		return nil, fmt.Errorf("%s: the plan holds no PTX, its targets are %s", p.Path(), strings.Join(p.Targets(p.Main()), ", "))
	}
	wanted, entry, both := strings.Cut(name, "/")
	var found []*PTX
	var known []string
	for _, target := range targets {
		text, err := p.Section(engine.KindPTX, target)
		if err != nil {
			return nil, err
		}
		code := NewPTX(target, string(text))
		if target == name {
			return []*PTX{code}, nil
		}
		known = append(known, target+" ("+strings.Join(code.names(), ", ")+")")
		if both && target != wanted {
			continue
		}
		if !both {
			entry = name
		}
		if code.only(entry) {
			found = append(found, code)
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%s: no target or entry %q; there are %s", p.Path(), name, strings.Join(known, "; "))
	}
	return found, nil
}

func (p *PTX) names() []string {
	var names []string
	for _, e := range p.Entries {
		names = append(names, e.Name)
	}
	return names
}

// only drops all entries but one and tells whether there is that one.
func (p *PTX) only(entry string) bool {
	for _, e := range p.Entries {
		if e.Name == entry {
			p.Entries = []PTXEntry{e}
			return true
		}
	}
	return false
}

// String is a module of what is left.
func (p *PTX) String() string {
	var b strings.Builder
	b.WriteString(p.Head)
	for i, e := range p.Entries {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(e.Text)
	}
	return b.String()
}

// Code is the entry that a launch runs, and how.
type Code struct {
	Entry        string    `json:"entry"`
	Limit        string    `json:"limit,omitempty"` // the steps that it serves: "T<=8"; "" for all
	Grid         [3]string `json:"grid"`            // CTAs, by the sizes of the step: "T", "T/16"
	Threads      int       `json:"threads"`
	Shared       int64     `json:"shared"`        // of a CTA in bytes, given at launch
	StaticShared int64     `json:"static_shared"` // of a CTA in bytes, declared in the code
}

// entries are the entries of a target's code, by name.
type entries map[string]string

// newEntries returns nil for a target whose kernels the plan does not hold.
func newEntries(p *engine.Plan, target string) (entries, error) {
	if !slices.Contains(p.Names(engine.KindPTX), target) {
		return nil, nil
	}
	text, err := p.Section(engine.KindPTX, target)
	if err != nil {
		return nil, err
	}
	all := entries{}
	for _, e := range NewPTX(target, string(text)).Entries {
		all[e.Name] = e.Text
	}
	return all, nil
}

// staticShared matches a declaration of shared memory; code generation declares bytes alone.
var staticShared = regexp.MustCompile(`(?m)^\s*\.shared\s+\.align\s+\d+\s+\.b8\s+[^\s\[\]]+\[(\d{1,9})\];`)

func (all entries) codes(list []engine.Code) []Code {
	var out []Code
	for i := range list {
		out = append(out, all.code(&list[i]))
	}
	return out
}

func (all entries) code(c *engine.Code) Code {
	out := Code{Entry: c.Entry, Limit: c.Limit.String(), Threads: c.Threads, Shared: int64(c.Shared)}
	for i, e := range c.Grid {
		out.Grid[i] = e.String()
	}
	for _, m := range staticShared.FindAllStringSubmatch(all[c.Entry], -1) {
		n, _ := strconv.ParseInt(m[1], 10, 64)
		out.StaticShared += n
	}
	return out
}
