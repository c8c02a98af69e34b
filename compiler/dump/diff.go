package dump

import (
	"regexp"
	"slices"
	"sort"
)

// lineKind is what became of a line.
type lineKind uint8

const (
	kept lineKind = iota
	removed
	added
)

// line is one line of a comparison. Of a kept line it is the newer form.
type line struct {
	kind lineKind
	text string
}

// maxDiffDepth bounds the recursion on texts that share only lines in ever smaller gaps; IR needs two or three levels.
const maxDiffDepth = 16

// valueNumber matches the names of values without names, which are renumbered after every pass.
var valueNumber = regexp.MustCompile(`%[0-9]+`)

// differ compares two texts by patience diff (Bram Cohen): lines that occur once in both are matched in their longest common order, the
// gaps between them are compared likewise, and what then has no partner is removed or added. The time is n log n for each level.
type differ struct {
	old, new       []string
	oldKey, newKey []string
	out            []line
}

// diffIR compares two printed modules, blind to the numbers of values.
func diffIR(old, new []string) []line {
	d := differ{old: old, new: new, oldKey: keys(old), newKey: keys(new)}
	d.compare(span{0, len(old), 0, len(new)}, 0)
	return d.out
}

func keys(lines []string) []string {
	out := make([]string, len(lines))
	for i, l := range lines {
		out[i] = valueNumber.ReplaceAllString(l, "%")
	}
	return out
}

// span is a range of the old text and one of the new.
type span struct{ oldLo, oldHi, newLo, newHi int }

func (d *differ) same(old, new int) bool { return d.oldKey[old] == d.newKey[new] }

func (d *differ) compare(s span, depth int) {
	for s.oldLo < s.oldHi && s.newLo < s.newHi && d.same(s.oldLo, s.newLo) {
		d.out = append(d.out, line{kept, d.new[s.newLo]})
		s.oldLo, s.newLo = s.oldLo+1, s.newLo+1
	}
	tail := 0
	for s.oldLo < s.oldHi && s.newLo < s.newHi && d.same(s.oldHi-1, s.newHi-1) {
		s.oldHi, s.newHi, tail = s.oldHi-1, s.newHi-1, tail+1
	}
	d.middle(s, depth)
	for _, text := range d.new[s.newHi : s.newHi+tail] {
		d.out = append(d.out, line{kept, text})
	}
}

func (d *differ) middle(s span, depth int) {
	var anchors [][2]int
	if depth < maxDiffDepth {
		anchors = d.anchors(s)
	}
	if len(anchors) == 0 {
		for _, text := range d.old[s.oldLo:s.oldHi] {
			d.out = append(d.out, line{removed, text})
		}
		for _, text := range d.new[s.newLo:s.newHi] {
			d.out = append(d.out, line{added, text})
		}
		return
	}
	for _, a := range anchors {
		d.compare(span{s.oldLo, a[0], s.newLo, a[1]}, depth+1)
		d.out = append(d.out, line{kept, d.new[a[1]]})
		s.oldLo, s.newLo = a[0]+1, a[1]+1
	}
	d.compare(s, depth+1)
}

// anchors returns the pairs (old, new) of lines that are unique in both ranges, as many as keep their order.
func (d *differ) anchors(s span) [][2]int {
	oldAt, newAt := unique(d.oldKey, s.oldLo, s.oldHi), unique(d.newKey, s.newLo, s.newHi)
	var pairs [][2]int // in the order of old
	for i := s.oldLo; i < s.oldHi; i++ {
		j, ok := newAt[d.oldKey[i]]
		if ok && j >= 0 && oldAt[d.oldKey[i]] == i {
			pairs = append(pairs, [2]int{i, j})
		}
	}
	return increasing(pairs)
}

// unique maps each line to its place, -1 where it occurs more than once.
func unique(lines []string, lo, hi int) map[string]int {
	at := make(map[string]int, hi-lo)
	for i := lo; i < hi; i++ {
		if _, seen := at[lines[i]]; seen {
			at[lines[i]] = -1
		} else {
			at[lines[i]] = i
		}
	}
	return at
}

// increasing returns the longest part of pairs whose second elements increase (patience sorting).
func increasing(pairs [][2]int) [][2]int {
	var piles []int // the top of each pile, an index of pairs
	before := make([]int, len(pairs))
	for i, p := range pairs {
		at := sort.Search(len(piles), func(k int) bool { return pairs[piles[k]][1] >= p[1] })
		before[i] = -1
		if at > 0 {
			before[i] = piles[at-1]
		}
		if at == len(piles) {
			piles = append(piles, i)
		}
		piles[at] = i
	}
	if len(piles) == 0 {
		return nil
	}
	var out [][2]int
	for i := piles[len(piles)-1]; i >= 0; i = before[i] {
		out = append(out, pairs[i])
	}
	slices.Reverse(out)
	return out
}
