package sched

import (
	"fmt"
	"slices"

	"llmc/engine"
)

// device stands for a model. Its cache holds one word per position, which depends on the words of all positions before it as read
// through the page table, on the token, its position and its rope length: like a key of the second layer of a transformer. The
// sampled token depends on all words up to the row and on how it is to be chosen. A wrong slot, page, position or
// rope length anywhere changes everything after it.
type device struct {
	config Config
	memory []uint64 // [pages * page size]
	steps  int
	failAt int // step that returns an error; 0: none
}

func newDevice(c Config) *device {
	return &device{config: c, memory: make([]uint64, c.Pages*c.PageSize)}
}

const emptyPrefix = 0x2545f4914f6cdd1d

func scramble(words ...uint64) uint64 {
	h := uint64(emptyPrefix)
	for _, w := range words {
		h ^= w
		h *= 0x9e3779b97f4a7c15
		h ^= h >> 29
		h *= 0xbf58476d1ce4e5b9
		h ^= h >> 32
	}
	return h
}

// ropeKey is what a rope length does to a cached word under the regime of the model.
func ropeKey(salt string, ropeLen int32) uint64 {
	limit := int32(0)
	switch {
	case salt == "":
		return 0
	case regimeIs(salt, "longrope:%d", &limit) && ropeLen > limit:
		return 1
	case regimeIs(salt, "dynamic:%d", &limit) && ropeLen > limit:
		return uint64(ropeLen)
	}
	return 0
}

func regimeIs(salt, format string, limit *int32) bool {
	n, err := fmt.Sscanf(salt, format, limit)
	return n == 1 && err == nil
}

// word is what the cache holds for a token behind a prefix.
func word(salt string, prefix uint64, token, position, ropeLen int32) uint64 {
	return scramble(prefix, uint64(token), uint64(position), ropeKey(salt, ropeLen))
}

// choose samples a token given everything up to the row.
func choose(prefix uint64, vocab int, position int32, sampling *engine.Sampling, history *engine.TokenHistory) engine.Sampled {
	h := scramble(prefix, sampling.Seed, uint64(position))
	if history != nil {
		sum := uint64(0)
		history.Each(func(id int32, outputs int32, inPrompt bool) {
			w := uint64(outputs) << 1
			if inPrompt {
				w++
			}
			sum += scramble(uint64(id), w)
		})
		h = scramble(h, sum)
	}
	banned := map[int32]bool{}
	for _, id := range sampling.Banned {
		banned[id] = true
	}
	token := int32(h % uint64(vocab))
	allowed := func(id int32) bool {
		return len(sampling.Allowed) == 0 || int(id/32) < len(sampling.Allowed) && sampling.Allowed[id/32]>>(id%32)&1 == 1
	}
	for range vocab { // of a mask without tokens any
		if !banned[token] && allowed(token) {
			break
		}
		token = (token + 1) % int32(vocab)
	}
	for _, b := range sampling.Bias {
		if b.Bias >= forcingBias {
			token = b.Token
		}
	}
	return engine.Sampled{Token: token, Logprob: -float32(scramble(prefix, uint64(token)) % 1000)}
}

// Step runs a step whose tokens are known.
func (d *device) Step(st *engine.Step, out []engine.Sampled) error { return d.run(st, nil, nil, out) }

// seen is the history of a row whose step was started when so many outputs were known, with the one that was not.
func (d *device) seen(st *engine.Step, r *engine.Row, known int, before []engine.Sampled) *engine.TokenHistory {
	var prompt []int32
	r.History.Each(func(id, _ int32, inPrompt bool) {
		if inPrompt {
			prompt = append(prompt, id)
		}
	})
	h := engine.NewTokenHistory(prompt)
	for _, id := range r.History.Outputs()[:known] {
		h.Add(id)
	}
	if row, ok := engine.RowOf(st.IDs[r.Token]); ok {
		h.Add(before[row].Token)
	}
	return h
}

// run runs the step as a real device would: first all writes of a layer, then all reads. seen says how many outputs the histories of rows had when it was
// started, nil: all that they have; before has the answers of the step before.
func (d *device) run(st *engine.Step, seen []int, before, out []engine.Sampled) error {
	d.steps++
	if err := d.validate(st); err != nil {
		return err
	}
	if d.steps == d.failAt {
		for _, slot := range st.Slots {
			d.memory[slot] = 0xdead
		}
		return fmt.Errorf("out of order")
	}
	if st.Encodes() {
		d.encode(st.Encode)
	}
	prefixes := make([]uint64, st.T()) // of everything up to and including the token
	for b := range st.B() {
		pages := st.Pages[st.PageStart[b]:st.PageStart[b+1]]
		for t := st.SeqStart[b]; t < st.SeqStart[b+1]; t++ {
			prefix := uint64(emptyPrefix)
			if len(st.Source.Length) > 0 {
				prefix = d.read(prefix, st.Source.Pages[st.Source.Start[b]:st.Source.Start[b+1]], int(st.Source.Length[b]))
			}
			prefix = d.read(prefix, pages, int(st.Positions[t]))
			id := st.IDs[t]
			if row, ok := engine.RowOf(id); ok {
				id = before[row].Token
			}
			w := word(d.config.RopeSalt, prefix, id, st.Positions[t], st.RopeLen[t])
			d.memory[st.Slots[t]] = w
			prefixes[t] = scramble(prefix, w)
		}
	}
	for i, r := range st.Rows {
		history := r.History
		if history != nil && seen != nil {
			history = d.seen(st, &r, seen[i], before)
		}
		out[i] = choose(prefixes[r.Token], d.config.Vocab, r.Position, r.Sampling, history)
	}
	accept(st.Drafts, out)
	return nil
}

// read goes on with a prefix by the first positions of a page table.
func (d *device) read(prefix uint64, pages []int32, positions int) uint64 {
	for p := range positions {
		prefix = scramble(prefix, d.memory[int(pages[p/d.config.PageSize])*d.config.PageSize+p%d.config.PageSize])
	}
	return prefix
}

// encode keeps a word for each token of texts, which depends on all of its text.
func (d *device) encode(st *engine.Step) {
	for b := range st.B() {
		first, end := st.SeqStart[b], st.SeqStart[b+1]
		for i, w := range encoded(st.IDs[first:end]) {
			d.memory[st.Slots[int(first)+i]] = w
		}
	}
}

// encoded returns what is kept of a text.
func encoded(text []int32) []uint64 {
	whole := uint64(emptyPrefix)
	for _, id := range text {
		whole = scramble(whole, uint64(id))
	}
	words := make([]uint64, len(text))
	for p, id := range text {
		words[p] = scramble(whole, uint64(id), uint64(p))
	}
	return words
}

// behind is the prefix of tokens that attend to a text.
func behind(text []int32) uint64 {
	prefix := uint64(emptyPrefix)
	for _, w := range encoded(text) {
		prefix = scramble(prefix, w)
	}
	return prefix
}

// accept counts the drafts of each chain that are what was sampled.
func accept(drafts []int32, out []engine.Sampled) {
	first := 0
	for i, draft := range drafts {
		switch {
		case draft < 0:
			first = i + 1
		case out[i].Token == draft && int(out[first].Accepted) == i-first:
			out[first].Accepted++
		}
	}
}

// validate checks what engine.Step promises to devices.
func (d *device) validate(st *engine.Step) error {
	c, t, b := d.config, st.T(), st.B()
	switch {
	case t > c.MaxStepTokens || b > c.MaxSequences || len(st.Rows) > c.MaxRows:
		return fmt.Errorf("step of %d tokens, %d sequences, %d rows is over the limits", t, b, len(st.Rows))
	case len(st.Positions) != t || len(st.RopeLen) != t || len(st.Slots) != t:
		return fmt.Errorf("arrays of tokens differ in length")
	case len(st.SeqStart) != b+1 || len(st.PageStart) != b+1 || int(st.SeqStart[b]) != t || int(st.PageStart[b]) != len(st.Pages):
		return fmt.Errorf("arrays of sequences differ in length")
	}
	written := map[int32]bool{}
	if err := d.validateSources(st); err != nil {
		return err
	}
	for i := range b {
		first, end := st.SeqStart[i], st.SeqStart[i+1]
		pages := st.Pages[st.PageStart[i]:st.PageStart[i+1]]
		if first >= end || st.Positions[end-1]+1 != st.Context[i] || len(pages) != (int(st.Context[i])+c.PageSize-1)/c.PageSize {
			return fmt.Errorf("sequence %d: rows %d to %d, context %d, %d pages", i, first, end, st.Context[i], len(pages))
		}
		for t := first; t < end; t++ {
			p := int(st.Positions[t])
			slot := pages[p/c.PageSize]*int32(c.PageSize) + int32(p%c.PageSize)
			if t > first && st.Positions[t] != st.Positions[t-1]+1 || st.Slots[t] != slot || written[slot] || st.RopeLen[t] <= st.Positions[t] {
				return fmt.Errorf("row %d: position %d, slot %d, rope length %d", t, p, st.Slots[t], st.RopeLen[t])
			}
			written[slot] = true
		}
	}
	if len(st.Drafts) > 0 && (len(st.Drafts) != len(st.Rows) || !slices.ContainsFunc(st.Drafts, func(id int32) bool { return id >= 0 })) {
		return fmt.Errorf("%d rows with drafts %v", len(st.Rows), st.Drafts)
	}
	for i, draft := range st.Drafts {
		if draft >= 0 && (st.Rows[i+1].Token != st.Rows[i].Token+1 || st.IDs[st.Rows[i+1].Token] != draft) {
			return fmt.Errorf("row %d: draft %d is not the token behind it", i, draft)
		}
	}
	for i := 1; i < len(st.Rows); i++ {
		if st.Rows[i].Token <= st.Rows[i-1].Token {
			return fmt.Errorf("rows are not in order")
		}
	}
	return nil
}

// validateSources checks what engine.Step promises of texts.
func (d *device) validateSources(st *engine.Step) error {
	c, s, e := d.config, &st.Source, st.Encode
	if c.MaxSource == 0 && len(s.Length)+len(s.Pages) == 0 && !st.Encodes() {
		return nil
	}
	if len(s.Length) != st.B() || len(s.Start) != st.B()+1 || int(s.Start[st.B()]) != len(s.Pages) {
		return fmt.Errorf("arrays of texts differ in length")
	}
	tables := map[int32]int{} // by first page
	for b, length := range s.Length {
		pages := s.Pages[s.Start[b]:s.Start[b+1]]
		if length < 1 || len(pages) != (int(length)+c.PageSize-1)/c.PageSize {
			return fmt.Errorf("sequence %d: text of %d tokens in %d pages", b, length, len(pages))
		}
		tables[pages[0]] = b
	}
	if !st.Encodes() {
		return nil
	}
	if e.T() > c.MaxStepTokens || e.B() > c.MaxSequences || len(e.Rows) > 0 || len(e.SeqStart) != e.B()+1 || len(e.Slots) != e.T() {
		return fmt.Errorf("texts of %d tokens, %d sequences, %d rows", e.T(), e.B(), len(e.Rows))
	}
	for i := range e.B() {
		pages := e.Pages[e.PageStart[i]:e.PageStart[i+1]]
		b, known := tables[pages[0]]
		if !known || s.Length[b] != e.Context[i] || e.SeqStart[i+1]-e.SeqStart[i] != e.Context[i] || e.Positions[e.SeqStart[i]] != 0 {
			return fmt.Errorf("text %d is not that of a sequence of the step", i)
		}
	}
	return nil
}
