package predict

import "llmc/engine"

// Use is what a CTA takes of a multiprocessor.
type Use struct {
	Registers int // of a thread
	Threads   int
	Shared    int64 // bytes, declared and given at launch
}

// Occupancy is how many CTAs a multiprocessor takes, and what there would have to be more of for another one: "registers", "shared memory", "threads" or
// "slots".
type Occupancy struct {
	CTAs  int
	Limit string
}

// registersOf is how many registers a thread can have where a multiprocessor has so many warps.
func registersOf(warps int) int { return engine.RegistersOfSM / max(1, warps) / 32 }

// Occupy computes how many CTAs fit a multiprocessor, 0 where not even one does.
func Occupy(c *engine.Card, u Use) Occupancy {
	warps := (u.Threads + 31) / 32
	registers := roundUp(u.Registers*32, engine.RegisterGranule) * warps
	shared := roundUp(int(u.Shared), engine.SharedGranule) + engine.ReservedShared
	best := Occupancy{c.CTAs, "slots"}
	for _, limit := range []struct {
		have, take int
		name       string
	}{{c.Threads, 32 * warps, "threads"}, {engine.RegistersOfSM, registers, "registers"}, {c.SharedMemory, shared, "shared memory"}} {
		if n := limit.have / max(1, limit.take); n < best.CTAs {
			best = Occupancy{n, limit.name}
		}
	}
	return best
}

func roundUp(n, to int) int { return (n + to - 1) / to * to }
