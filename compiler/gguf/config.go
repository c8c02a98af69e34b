package gguf

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"llmc/compiler/hf"
	"llmc/internal/dtype"
)

// settings are the keys of a config.json in the making.
type settings struct {
	values map[string]any    // json.RawMessage, or settings of an object inside
	labels map[string]string // where a key comes from
	order  []string
}

func newSettings() *settings { return &settings{values: map[string]any{}, labels: map[string]string{}} }

// set gives key, which may lie in an object inside (after a dot), a value that comes from the metadata's key label.
func (s *settings) set(key, label string, v any) {
	outer, inner, ok := strings.Cut(key, ".")
	if !ok {
		s.put(key, label, v)
		return
	}
	if s.values[outer] == nil {
		s.put(outer, "", newSettings())
	}
	s.values[outer].(*settings).put(inner, label, v)
}

func (s *settings) put(key, label string, v any) {
	if _, known := s.values[key]; !known {
		s.order = append(s.order, key)
	}
	s.values[key], s.labels[key] = v, label
}

// MarshalJSON writes the keys in the order in which they were set.
func (s *settings) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	for i, key := range s.order {
		name, _ := json.Marshal(key)
		value, err := json.Marshal(s.values[key])
		if err != nil {
			return nil, err
		}
		b.WriteByte("{,"[min(i, 1)])
		b.Write(name)
		b.WriteByte(':')
		b.Write(value)
	}
	if len(s.order) == 0 {
		b.WriteByte('{')
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// label has messages name the keys as the file does.
func (s *settings) label(o *hf.Object) {
	for key, v := range s.values {
		if inner, ok := v.(*settings); ok {
			if object, ok := o.Value(key).(*hf.Object); ok {
				inner.label(object)
			}
		} else if s.labels[key] != "" {
			o.Label(key, s.labels[key])
		}
	}
}

// config makes the config.json that the metadata describe.
func (m *model) config() (*hf.Object, error) {
	s := newSettings()
	s.set("model_type", architectureKey, m.family.modelType)
	s.set("architectures", architectureKey, []string{m.family.class})
	for _, step := range []func(*settings) error{m.copyKeys, m.copyFlags, m.copyFrequencies, m.copyLongFrequencies, m.copyFixed, m.countVocabulary, m.copyTokens, m.checkSame} {
		if err := step(s); err != nil {
			return nil, err
		}
	}
	text, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	o, err := hf.ParseObject(m.file, text)
	if err != nil {
		return nil, err
	}
	s.label(o)
	return o, nil
}

// copyKeys takes over the architecture's keys. Those that the table lacks go under their own names, for the family to refuse.
func (m *model) copyKeys(s *settings) error {
	for _, key := range m.keys {
		name, ok := strings.CutPrefix(key, m.family.name+".")
		if !ok {
			continue
		}
		v, err := m.json(key)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(m.family.keys, func(r keyRow) bool { return r.key == name })
		switch {
		case i < 0 && !off(v):
			s.put(key, key, v)
		case i < 0 || m.family.keys[i].to == "" || m.family.keys[i].same:
		default:
			row := &m.family.keys[i]
			if text, ok := v.(string); ok && row.texts[text] != "" {
				v = row.texts[text]
			}
			if row.as != nil {
				v = row.as(m, v)
			}
			if v != nil {
				s.set(row.to, key, v)
			}
		}
	}
	return nil
}

// off tells whether a value switches nothing on.
func off(v any) bool { return v == false || v == "" || v == json.Number("0") }

// json gives a value as JSON would. Numbers of 32 bits get the digits that tell them apart, and so mean what was written once.
func (m *model) json(key string) (any, error) {
	v := m.values[key]
	switch {
	case v.kind == kindString:
		return m.text(key)
	case v.kind == kindBool:
		return m.truth(key, false)
	case v.kind == kindArray && kinds[v.of].size == 0:
		return nil, m.errorf(key, "is an array of %v, where numbers are expected", v.of)
	}
	list, err := m.numbers(key)
	if err != nil {
		return nil, err
	}
	var numbers []json.Number
	for _, x := range list {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return nil, m.errorf(key, "is not a finite number")
		}
		bits := 64
		if v.kind == kindF32 || v.of == kindF32 {
			bits = 32
		}
		format := byte('g')
		if x == math.Trunc(x) && math.Abs(x) < 1<<53 {
			format = 'f'
		}
		numbers = append(numbers, json.Number(strconv.FormatFloat(x, format, -1, bits)))
	}
	if v.kind != kindArray {
		return numbers[0], nil
	}
	if len(numbers) > 0 && !slices.ContainsFunc(numbers, func(n json.Number) bool { return n != numbers[0] }) {
		return numbers[0], nil // one for each layer, and all alike
	}
	return numbers, nil
}

func (m *model) copyFlags(s *settings) error {
	for _, f := range m.family.flags {
		s.set(f.to, "", (m.tensor(f.tensor) != nil) != f.absent)
	}
	for _, row := range m.family.sizes {
		if t := m.tensor(row.tensor); t != nil {
			s.set(row.to, row.tensor, t.shape[0])
		}
	}
	return nil
}

// copyFixed sets what all models of the architecture have.
func (m *model) copyFixed(s *settings) error {
	for _, row := range m.family.fixed {
		if row.after == "" || s.values[row.after] != nil {
			s.set(row.to, architectureKey, row.value)
		}
	}
	return nil
}

// tensor finds a tensor by its name in the files.
func (m *model) tensor(name string) *tensorInfo {
	for _, f := range m.files {
		for i := range f.infos {
			if f.infos[i].name == name {
				return &f.infos[i]
			}
		}
	}
	return nil
}

// copyFrequencies takes over the divisors of rotary frequencies, which stand for a scaling of type llama3.
func (m *model) copyFrequencies(s *settings) error {
	for _, f := range m.files {
		for i := range f.infos {
			info := &f.infos[i]
			if info.name != frequencies {
				continue
			}
			divisors, err := readDivisors(f, info)
			if err != nil {
				return err
			}
			s.set("rope_scaling.rope_type", frequencies, "divided")
			s.set("rope_scaling.divisors", frequencies, divisors)
		}
	}
	return nil
}

// copyLongFrequencies takes over the divisors of short and long texts, which are a scaling of type longrope.
func (m *model) copyLongFrequencies(s *settings) error {
	for _, f := range m.files {
		for i := range f.infos {
			to := map[string]string{shortFrequencies: "rope_scaling.short_factor", longFrequencies: "rope_scaling.long_factor"}[f.infos[i].name]
			if to == "" {
				continue
			}
			divisors, err := readDivisors(f, &f.infos[i])
			if err != nil {
				return err
			}
			s.set("rope_scaling.rope_type", f.infos[i].name, "longrope")
			s.set(to, f.infos[i].name, divisors)
		}
	}
	return nil
}

// readDivisors reads a vector of divisors of frequencies.
func readDivisors(f *file, info *tensorInfo) ([]float32, error) {
	if info.kind.number != dtype.F32 || len(info.shape) != 1 || info.shape[0] > maxFrequencies {
		return nil, info.errorf(f.Name, "must be a vector of at most %d numbers in F32", maxFrequencies)
	}
	divisors := make([]float32, info.shape[0])
	if err := newRows(f.Mapped, info).ReadRows(divisors, 0); err != nil {
		return nil, info.errorf(f.Name, "%w", err)
	}
	for _, x := range divisors {
		if !(x > 0) || math.IsInf(float64(x), 0) {
			return nil, info.errorf(f.Name, "holds %g, which divides no frequency", x)
		}
	}
	return divisors, nil
}

// maxFrequencies bounds the rotary frequencies of a head.
const maxFrequencies = 1 << 14

const tokensKey = "tokenizer.ggml.tokens"

// countVocabulary takes the size of the vocabulary from the tokens, or the embedding, where no key tells.
func (m *model) countVocabulary(s *settings) error {
	if s.values["vocab_size"] != nil {
		return nil
	}
	if v, ok := m.values[tokensKey]; ok {
		s.set("vocab_size", tokensKey, v.count)
	} else if t := m.tensor(tableTensor); t != nil {
		s.set("vocab_size", tableTensor, t.shape[0])
	}
	return nil
}

// checkSame holds keys that the families read once to that one.
func (m *model) checkSame(s *settings) error {
	for i, row := range m.family.keys {
		key := m.family.name + "." + row.key
		if !row.same || !m.has(key) || slices.ContainsFunc(m.family.keys[:i], func(r keyRow) bool { return r.key == row.key }) {
			continue
		}
		have, err := m.json(key)
		if err != nil {
			return err
		}
		want := s.values[row.to]
		if want == nil && row.to == headDimKey {
			want = m.impliedHeadDim(s)
			s.set(headDimKey, key, want)
		}
		if fmt.Sprint(have) != fmt.Sprint(want) {
			return m.errorf(key, "%v differs from %v, which is %s: such models are not supported", have, want, row.to)
		}
	}
	return nil
}

// impliedHeadDim is what a head has where no key tells.
func (m *model) impliedHeadDim(s *settings) any {
	hidden, _ := s.values["hidden_size"].(json.Number)
	heads, _ := s.values["num_attention_heads"].(json.Number)
	h, _ := hidden.Int64()
	n, _ := heads.Int64()
	return json.Number(strconv.FormatInt(h/max(1, n), 10))
}
