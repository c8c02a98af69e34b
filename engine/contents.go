package engine

import "fmt"

// Content is a section's bytes on their way into a plan.
type Content struct {
	Kind, Name string
	Data       []byte
}

// RuleCount says how often a rewrite of a pass fired.
type RuleCount struct {
	Pass  string `msgpack:"pass"`
	Rule  string `msgpack:"rule,omitempty"`
	Count int64  `msgpack:"count"`
}

// Provenance says what a plan was built from. It holds neither time nor host nor path, so that the same input gives the same bytes.
type Provenance struct {
	Compiler string       `msgpack:"compiler"` // version of llmc
	Model    string       `msgpack:"model,omitempty"`
	Revision string       `msgpack:"revision,omitempty"` // of a Hub repository
	Files    []SourceFile `msgpack:"files,omitempty"`
	Options  []Option     `msgpack:"options,omitempty"`
}

// SourceFile is a file of the checkpoint, by its name inside the checkpoint's directory.
type SourceFile struct {
	Name   string `msgpack:"name"`
	Bytes  int64  `msgpack:"bytes"`
	SHA256 []byte `msgpack:"sha256,omitempty"`
}

// Option is one choice of the build that changes its result.
type Option struct {
	Name  string `msgpack:"name"`
	Value string `msgpack:"value"`
}

// InfoContent returns the info section.
func InfoContent(info *ModelInfo) (Content, error) { return encodeContent(KindInfo, "", info) }

// ProgramContent returns the section of one program.
func ProgramContent(program *Program) (Content, error) {
	return encodeContent(KindProgram, programName(program.Func, program.Target), toWire(program))
}

// RulesContent returns the section of rule counts.
func RulesContent(rules []RuleCount) (Content, error) {
	return encodeContent(KindRules, "", &ruleList{rules})
}

// ProvenanceContent returns the provenance section.
func ProvenanceContent(p *Provenance) (Content, error) { return encodeContent(KindProvenance, "", p) }

// ruleList makes the section a map, which can grow other fields.
type ruleList struct {
	Rules []RuleCount `msgpack:"rules,omitempty"`
}

func encodeContent(kind, name string, v any) (Content, error) {
	data, err := marshal(v)
	if err == nil {
		err = scan(data) // nothing is written that could not be read
	}
	if err != nil {
		return Content{}, fmt.Errorf("encode section %s: %w", sectionID(kind, name), err)
	}
	return Content{Kind: kind, Name: name, Data: data}, nil
}

func programName(function, target string) string { return function + "/" + target }
