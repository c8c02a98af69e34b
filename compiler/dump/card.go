package dump

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"llmc/compiler/predict"
	"llmc/engine"
)

// CardReport is what one program is predicted to take on a card.
type CardReport struct {
	Card      string       `json:"card"`
	Doc       string       `json:"doc"`
	Registers string       `json:"registers"` // where their numbers come from: "cubin", "ptxas 13.5", or "at most" by the text
	Steps     []CardStep   `json:"steps"`
	Launches  []CardLaunch `json:"launches"`
}

// CardStep is the prediction for a step whose rows are sampled greedily.
type CardStep struct {
	Step
	Launches        int     `json:"launches"`
	Bytes           float64 `json:"bytes"`
	Flops           float64 `json:"flops"`
	Seconds         float64 `json:"seconds"`
	Bound           float64 `json:"bound_seconds"` // by the data sheet: the sum of the launches'
	Gaps            float64 `json:"gap_seconds"`   // between launches
	TokensPerSecond float64 `json:"tokens_per_second"`
}

// Fraction of the bound that is predicted.
func (s *CardStep) Fraction() float64 { return s.Bound / s.Seconds }

// CardLaunch is a launch, or several that differ in addresses alone.
type CardLaunch struct {
	Label  string     `json:"label"` // of the first
	Kernel string     `json:"kernel"`
	Count  int        `json:"count"`
	Steps  []CardCost `json:"steps"` // for each of the report's
}

// CardCost is what a launch takes of a step. One that has nothing to do has no entry.
type CardCost struct {
	Entry     string  `json:"entry,omitempty"`
	Registers int     `json:"registers"` // of a thread
	Shared    int64   `json:"shared"`    // of a CTA in bytes
	PerSM     int     `json:"ctas_per_sm"`
	LimitedBy string  `json:"limited_by"` // what more CTAs would lack
	CTAs      int64   `json:"ctas"`       // with something to do
	Waves     float64 `json:"waves"`
	Bytes     float64 `json:"bytes"`
	Flops     float64 `json:"flops"`
	Seconds   float64 `json:"seconds"`
	Bound     float64 `json:"bound_seconds"`
	Fraction  float64 `json:"fraction"`    // of the bound
	Limit     string  `json:"limit"`       // what takes longest: "memory", "L2 cache", "matrix units", "instructions", "gap"
	Gap       float64 `json:"gap_seconds"` // between the launch before it and this one
}

// Registers are those of a thread, by entry, and where they come from.
type Registers struct {
	From string
	Of   map[string]int
}

// CardSteps are decoding steps of so many sequences, and prompts of so many tokens, usual ones where neither are given. Sequences have context positions; 0:
// 1024 in decoding steps, and those of a prompt alone.
func CardSteps(batch, prompts []int, context int) (steps []Step) {
	const decoding = 1024
	if len(batch)+len(prompts) == 0 {
		batch, prompts = []int{1, 8, 64, 256}, []int{512, 2048}
	}
	for _, n := range batch {
		steps = append(steps, Step{Tokens: int64(n), Sequences: int64(n), Context: int64(cmp.Or(context, decoding))})
	}
	for _, n := range prompts {
		steps = append(steps, Step{Tokens: int64(n), Sequences: 1, Context: int64(max(n, context))})
	}
	return steps
}

// DefaultCardSteps are the usual ones.
var DefaultCardSteps = CardSteps(nil, nil, 0)

// atMost is where registers come from that the text bounds.
const atMost = "at most"

// CardCode is a program with what the text of its entries says, to be predicted on any card.
type CardCode struct {
	from      Source
	program   *engine.Program
	registers string
	facts     map[string]*predict.Facts // by entry
}

// NewCardCode reads a program's code. Entries without registers have what the text bounds.
func NewCardCode(from Source, program *engine.Program, text string, registers Registers) *CardCode {
	c := &CardCode{from, program, registers.From, map[string]*predict.Facts{}}
	for _, e := range NewPTX(program.Target, text).Entries {
		f := predict.Read(e.Text)
		if n, ok := registers.Of[e.Name]; ok {
			f.Registers = min(f.Registers, n)
		}
		c.facts[e.Name] = &f
	}
	return c
}

// On predicts steps on a card.
func (c *CardCode) On(card *engine.Card, steps []Step) (*CardReport, error) {
	r := &CardReport{Card: card.Name, Doc: card.Doc, Registers: c.registers}
	costs := make([][]CardCost, len(c.program.Launches))
	for _, s := range steps {
		p := newPredictor(c.from, c.program, nil, card.SMs, s)
		total := CardStep{Step: p.step}
		for i := range c.program.Launches {
			cost, err := p.on(card, &c.program.Launches[i], c.facts)
			if err != nil {
				return nil, err
			}
			costs[i] = append(costs[i], cost)
			total.add(&cost)
		}
		if total.Seconds > 0 {
			total.TokensPerSecond = float64(total.Tokens) / total.Seconds
		}
		r.Steps = append(r.Steps, total)
	}
	r.group(c.program, costs)
	return r, nil
}

func (s *CardStep) add(c *CardCost) {
	if c.Entry != "" {
		s.Launches++
	}
	s.Bytes, s.Flops, s.Seconds, s.Bound, s.Gaps = s.Bytes+c.Bytes, s.Flops+c.Flops, s.Seconds+c.Seconds, s.Bound+c.Bound, s.Gaps+c.Gap
}

// group puts launches of the same kernel and costs together, in the order of the first. Entries of the same code have names of their own.
func (r *CardReport) group(program *engine.Program, costs [][]CardCost) {
	groups := map[string]int{}
	for i, list := range costs {
		l := &program.Launches[i]
		same := make([]CardCost, len(list))
		done := false
		for j, c := range list {
			done = done || c.Entry != ""
			same[j] = c
			same[j].Entry = fmt.Sprint(c.Entry != "")
		}
		if !done {
			continue
		}
		key := fmt.Sprint(l.Kernel, same)
		if at, ok := groups[key]; ok {
			r.Launches[at].Count++
			continue
		}
		groups[key] = len(r.Launches)
		r.Launches = append(r.Launches, CardLaunch{l.Label, l.Kernel, 1, list})
	}
}

// on predicts a launch on a card.
func (p *predictor) on(card *engine.Card, l *engine.Launch, facts map[string]*predict.Facts) (CardCost, error) {
	code := l.CodeOf(p.env)
	if code == nil || p.leftOut(l) || engine.SampleFlags(l) != 0 { // rows take the likeliest token
		return CardCost{}, nil
	}
	f := facts[code.Entry]
	if f == nil {
		return CardCost{}, fmt.Errorf("launch %q: there is no entry %s in the code", l.Label, code.Entry)
	}
	cost, err := p.launch(l)
	if err != nil {
		return CardCost{}, err
	}
	use := predict.Use{Registers: f.Registers, Threads: code.Threads, Shared: f.Static + int64(code.Shared)}
	o := predict.Occupy(card, use)
	w := predict.Work{Bytes: cost.Bytes, Taken: cost.Bytes, Flops: cost.Flops, Issued: cost.Flops, Early: code.Early, Loop: f.Loop, Flight: f.Flight(code.Threads, int64(code.Shared))}
	if err := p.share(l, code, &w, int64(o.CTAs*card.SMs)); err != nil {
		return CardCost{}, fmt.Errorf("launch %q: %w", l.Label, err)
	}
	t := w.On(card, o)
	return CardCost{
		Entry: code.Entry, Registers: use.Registers, Shared: use.Shared, PerSM: o.CTAs, LimitedBy: o.Limit, CTAs: w.CTAs, Waves: t.Waves, Bytes: w.Bytes,
		Flops: w.Flops, Seconds: t.Seconds, Bound: t.Bound, Fraction: t.Fraction(), Limit: t.Limit, Gap: t.Gap,
	}, nil
}

// share tells how the launch's CTAs share its work. The card takes so many of them at a time.
func (p *predictor) share(l *engine.Launch, code *engine.Code, w *predict.Work, slots int64) error {
	w.CTAs = 1
	for _, e := range code.Grid {
		n, err := e.Eval(p.env)
		if err != nil {
			return err
		}
		w.CTAs *= n
	}
	kernel := engine.FindKernel(l.Kernel)
	switch {
	case kernel.Operand(l, "cache").Kind == engine.OperandCache && w.Loop != nil && l.Int("block", 0) > 0:
		p.shareItems(l, w)
	case kernelCosts[l.Kernel].flops != nil:
		return p.shareTiles(l, code, w, slots)
	}
	return nil
}

// shareTiles is for products: every row of tiles reads the weight, every column the tokens. What tiles have of tokens that are not there is multiplied too.
func (p *predictor) shareTiles(l *engine.Launch, code *engine.Code, w *predict.Work, slots int64) error {
	rows, err := p.results(l)
	if err != nil || rows == 0 {
		return err
	}
	kernel := engine.FindKernel(l.Kernel)
	x, err := p.bufferBytes(&p.program.Buffers[kernel.Operand(l, "x").Index])
	if err != nil {
		return err
	}
	tile, columns := int64(1), int64(0) // tokens of one; columns where the grid is a list of tiles
	for _, e := range code.Grid {
		if _, fixed := e.Of.IsConst(); !fixed {
			tile, columns = max(tile, e.Per), slices.Max(e.Of.Coef[:])
		}
	}
	filled := (rows + tile - 1) / tile
	w.Issued = w.Flops * float64(filled*tile) / float64(rows)
	if kernelCosts[l.Kernel].expertsOnly {
		return nil // a tile reads the matrix of its expert, of which Bytes has as many as there are tiles at most
	}
	weight := p.weight(kernel.Operand(l, "w"))
	if l.Int("tickets", 0) > 0 && w.Loop != nil && w.Loop.Wgmma {
		if columns < 2 {
			columns = streamColumns(weight.N(), tile)
		}
		if tiles := filled * columns; tiles < w.CTAs {
			w.Even = true
			if rest := tiles % slots; rest > 0 {
				w.CTAs = min(w.CTAs, tiles-rest+slots) // those that are cut are shared out among as many CTAs as there is room for
			}
		}
	} else {
		columns = max(1, w.CTAs/filled)
	}
	w.Taken = w.Bytes + float64(weight.Bytes)*float64(filled-1) + x*float64(columns-1)
	return nil
}

// streamColumns is how many tiles a product on wgmma has along its outputs, of which CTAs with up to 32 tokens have 64, others 128.
func streamColumns(outputs, tokens int64) int64 {
	const few, fewOutputs, outputsOfCTA = 32, 64, 128
	if tokens <= few {
		return (outputs + fewOutputs - 1) / fewOutputs
	}
	return (outputs + outputsOfCTA - 1) / outputsOfCTA
}

// shareItems is for attention: items of tokens times query heads for each KV head, in pieces where a card has room, as the device writes its work list.
// Rows of the matrix units are 16 or 64; each item reads what its tokens see.
func (p *predictor) shareItems(l *engine.Launch, w *predict.Work) {
	block, group, planes, extra := l.Int("block", 1), l.Int("group", 1), l.Int("planes", 1), l.Int("extra", 0)
	n := min(p.step.each(), block) // tokens of an item
	items := (p.step.each() + n - 1) / n * p.step.sequences()
	seen := p.pairs(l) / float64(p.step.Tokens) // by a token
	splits := math.Ceil(seen / engine.AttentionSplit)
	pieces := splits
	if extra > 0 {
		share := math.Max(1, math.Ceil(float64(items)*splits/float64(extra)))
		pieces = math.Min(math.Ceil(splits/share), 1+float64(extra)/float64(items))
	}
	w.CTAs = int64(math.Max(1, math.Floor(float64(items)*pieces))) * planes
	rows := n * group
	filled := int64(16)
	if rows > filled {
		filled = (rows + 15) / 16 * 16
	}
	w.Issued = w.Flops * float64(filled) / float64(rows)
	cache := engine.FindKernel(l.Kernel).Operand(l, "cache")
	if bytes, err := p.program.LayerBytes(cache.Index, pageSize); err == nil {
		w.Taken = w.Bytes + float64(bytes)/pageSize*(seen*float64(items)-math.Min(p.attended(l), seen*float64(items)))
	}
}
