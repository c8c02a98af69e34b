package predict

import (
	"regexp"
	"strconv"
	"strings"
)

// Facts are what the text of an entry says of itself.
type Facts struct {
	Registers int     // of a thread, at most: what the entry declares, cut to what its bounds allow
	Static    int64   // bytes of shared memory that it declares
	Async     bool    // it copies to shared memory while it computes
	Loads     int     // bytes that a thread's loads bring in a round of the loop that loads most
	Loop      *Loop   // the main loop; nil where no matrices are multiplied
	Busy      []Lines // loops that multiply matrices or start copies, in the order of their ends
}

// Lines are those of a loop, from that of its label to that of its branch, counted from 0.
type Lines struct{ First, Last int }

// Loop is the innermost loop that multiplies most.
type Loop struct {
	Lines
	Instructions int    // of a round, as if every branch fell through
	Products     int    // matrix instructions among them
	MACs         int    // of one of them, for each warp
	Unit         string // what they multiply: "bf16", "f16", "e4m3", "s8"
	Wgmma        bool
}

// The forms are those of the PTX ISA; code generation writes one instruction a line.
var (
	maxThreads   = regexp.MustCompile(`^\.maxntid (\d{1,4})`)
	minCTAs      = regexp.MustCompile(`^\.minnctapersm (\d{1,2})`)
	declared     = regexp.MustCompile(`^\.reg \.([a-z]+)(\d*) %[a-z]+<(\d{1,6})>;`)
	staticShared = regexp.MustCompile(`^\.shared\s+\.align\s+\d+\s+\.b8\s+[^\s\[\]]+\[(\d{1,9})\];`)
	label        = regexp.MustCompile(`^([$%_a-zA-Z][$_a-zA-Z0-9]*):$`)
	branch       = regexp.MustCompile(`^(?:@!?%p\d+ )?bra(?:\.uni)? ([$%_a-zA-Z][$_a-zA-Z0-9]*);`)
	matrix       = regexp.MustCompile(`^(?:@!?%p\d+ )?(wgmma|mma)\.[a-z_.]*?\.m(\d{1,3})n(\d{1,3})k(\d{1,3})\.(?:row\.col\.)?[a-z0-9]+\.([a-z0-9]+)`)
	load         = regexp.MustCompile(`^(?:@!?%p\d+ )?ld\.global(\.nc)?[a-zA-Z0-9_:.]*?(?:\.v(\d))?\.[a-z]+(\d{1,2}) `)
)

// sums are totals of the lines before one.
type sums struct{ instructions, products, macs, loads, constant, copies int }

// Read finds the facts of an entry.
func Read(text string) Facts {
	var f Facts
	threads, ctas, count := 0, 0, map[string]int{}
	labels := map[string]int{}
	var before []sums
	var units []matrixForm
	var loops []Lines
	total := sums{}
	for n, line := range strings.Split(text, "\n") {
		before = append(before, total)
		line = strings.TrimSpace(line)
		switch {
		case line == "" || strings.HasPrefix(line, "//"):
		case line[0] == '.':
			readDirective(line, &threads, &ctas, count, &f)
		case label.MatchString(line):
			labels[line[:len(line)-1]] = n
		case strings.HasSuffix(line, ";"):
			total.instructions++
			if strings.Contains(line, "cp.async") {
				f.Async = true
				total.copies++
			}
			if m := branch.FindStringSubmatch(line); m != nil {
				if from, back := labels[m[1]]; back {
					loops = append(loops, Lines{from, n})
				}
			}
			total.load(line)
			if form, ok := matrixOf(line); ok {
				form.line = n
				units = append(units, form)
				total.products++
				total.macs += form.macs
			}
		}
	}
	f.Registers = boundRegisters(threads, ctas, count)
	f.choose(loops, append(before, total), units)
	return f
}

// matrixForm is one matrix instruction.
type matrixForm struct {
	line, macs int
	unit       string
	wgmma      bool
}

func matrixOf(line string) (matrixForm, bool) {
	m := matrix.FindStringSubmatch(line)
	if m == nil {
		return matrixForm{}, false
	}
	form := matrixForm{macs: number(m[2]) * number(m[3]) * number(m[4]), unit: m[5], wgmma: m[1] == "wgmma"}
	if form.wgmma {
		form.macs /= 4 // warps that give the instruction
	}
	return form, true
}

func readDirective(line string, threads, ctas *int, count map[string]int, f *Facts) {
	if m := maxThreads.FindStringSubmatch(line); m != nil {
		*threads = number(m[1])
	} else if m := minCTAs.FindStringSubmatch(line); m != nil {
		*ctas = number(m[1])
	} else if m := declared.FindStringSubmatch(line); m != nil {
		count[m[1]+m[2]] += number(m[3])
	} else if m := staticShared.FindStringSubmatch(line); m != nil {
		f.Static += int64(number(m[1]))
	}
}

// load adds the bytes of a thread's load; those of memory that does not change are what streams are read with.
func (s *sums) load(line string) {
	m := load.FindStringSubmatch(line)
	if m == nil {
		return
	}
	bytes := max(1, number(m[2])) * number(m[3]) / 8
	s.loads += bytes
	if m[1] != "" {
		s.constant += bytes
	}
}

// choose finds the main loop, and the loop that loads most. A loop around another that multiplies is none of its own.
func (f *Facts) choose(loops []Lines, before []sums, units []matrixForm) {
	most, inner := 0, -1
	for _, l := range loops { // in the order of their ends
		a, b := before[l.First], before[l.Last+1]
		bytes := b.loads - a.loads
		if n := b.constant - a.constant; n > 0 {
			bytes = n
		}
		f.Loads = max(f.Loads, bytes)
		macs := b.macs - a.macs
		if macs > 0 || b.copies > a.copies {
			f.Busy = append(f.Busy, l)
		}
		if macs == 0 || inner >= l.First {
			continue
		}
		inner = l.First
		if macs <= most {
			continue
		}
		most = macs
		f.Loop = &Loop{Lines: l, Instructions: b.instructions - a.instructions, Products: b.products - a.products}
		f.Loop.MACs = macs / f.Loop.Products
		u := units[a.products]
		f.Loop.Unit, f.Loop.Wgmma = u.unit, u.wgmma
	}
}

// boundRegisters is what a thread has at most: 255, what lets so many CTAs onto a multiprocessor, and all that the text declares.
func boundRegisters(threads, ctas int, count map[string]int) int {
	const most, warp, granule = 255, 32, 8
	bound := most
	if threads > 0 {
		warps := (threads + warp - 1) / warp * max(1, ctas)
		bound = min(bound, registersOf(warps)/granule*granule)
	}
	words := granule // what addresses and constants take beside
	for kind, n := range count {
		switch {
		case strings.HasSuffix(kind, "64"):
			words += 2 * n
		case !strings.HasPrefix(kind, "pred"):
			words += n
		}
	}
	return min(bound, words)
}

func number(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}
