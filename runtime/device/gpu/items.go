package gpu

import (
	"llmc/engine"
	"llmc/internal/sym"
)

// itemWords is the size of an engine.Item in int32.
const itemWords = 8

// workShape is what the work list of a launch of attention depends on, besides the step. Launches of one shape share it.
type workShape struct {
	block, group   int32 // tokens of an item, query heads of a CTA
	planes, extra  int   // CTAs of an item, items that pieces may add
	reach          engine.Reach
	room           int64 // room is the rows that partials hold, of each plane
	counters, most int   // words of counters; items at most, in the largest step
}

// newWorkShape returns the shape of a launch with the sizes of the largest step; ok is false for launches that have no work list.
func newWorkShape(p *engine.Program, l *engine.Launch, env sym.Env) (w workShape, ok bool, err error) {
	partials := engine.FindKernel(l.Kernel).Operand(l, "partials")
	if partials.Kind != engine.OperandBuffer {
		return w, false, nil
	}
	w = workShape{block: int32(l.Int("block", 1)), group: int32(l.Int("group", 1)), planes: int(l.Int("planes", 1)), extra: int(l.Int("extra", 0)), reach: engine.ReachOf(l)}
	b := &p.Buffers[partials.Index]
	lines, err := b.Rows.Eval(env)
	if err != nil {
		return w, false, err
	}
	w.room = min(lines*b.Stride/int64(w.planes*engine.PartialRowBytes(int(l.Int("rank", l.Int("dim", 0))))), 1<<31-1)
	w.counters = engine.AttentionCounters(w.extra, w.planes)
	w.most = w.bound(int(env[sym.T]), int(env[sym.B]))
	return w, true, nil
}

// bound is how many items the grid has for a step.
func (w *workShape) bound(tokens, sequences int) int {
	return (tokens+int(w.block)-1)/int(w.block) + sequences + w.extra
}

// words is the size of the list for the largest step.
func (w *workShape) words() int { return w.counters + itemWords*w.most }

// item is the tokens of one sequence that make up an item, with the splits that they see.
type item struct {
	sequence, first, count int32
	from, to               int32
}

// each calls do for the items of a step: each sequence's tokens in blocks.
func (w *workShape) each(s *engine.Step, do func(i item)) {
	for b := range s.Context {
		for first := s.SeqStart[b]; first < s.SeqStart[b+1]; first += w.block {
			i := item{sequence: int32(b), first: first, count: min(w.block, s.SeqStart[b+1]-first)}
			i.from = int32(w.reach.First(int64(s.Positions[first])) / engine.AttentionSplit)
			i.to = int32(w.reach.Last(int64(s.Positions[first+i.count-1]), w.reach.Length(s, b))/engine.AttentionSplit) + 1
			do(i)
		}
	}
}

// list appends to list the counters and the items of a step. Where whole items would have fewer CTAs than the card takes, those with most
// splits come in pieces of about as many splits as each CTA would have if all were the same; pieces are at most extra more than items,
// since each but the last of an item's has that many splits. What does not fit partials stays whole.
func (w *workShape) list(list []int32, s *engine.Step) []int32 {
	for range w.counters {
		list = append(list, 0)
	}
	splits := 0
	w.each(s, func(i item) { splits += int(i.to - i.from) })
	share := int32(1)
	if w.extra > 0 {
		share = int32(max(1, (splits+w.extra-1)/w.extra))
	}
	row, counter, left := int64(0), int32(0), w.extra
	w.each(s, func(i item) {
		n := i.to - i.from
		pieces := (n + share - 1) / share
		rows := int64(n) * int64(i.count) * int64(w.group)
		if pieces < 2 || int(pieces)-1 > left || row+rows > w.room {
			list = append(list, i.sequence, i.first, i.count, i.from, i.to, 1, 0, 0)
			return
		}
		for p := range pieces {
			list = append(list, i.sequence, i.first, i.count, i.from+n*p/pieces, i.from+n*(p+1)/pieces, pieces, int32(row), counter)
		}
		row, counter, left = row+rows, counter+1, left-int(pieces)+1
	})
	for end := w.counters + itemWords*w.bound(s.T(), s.B()); len(list) < end; {
		list = append(list, 0)
	}
	return list
}
