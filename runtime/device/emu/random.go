package emu

// chance decides when asynchronous operations land. Without a seed they land as late as they may.
type chance struct {
	state uint64
	on    bool
}

func newChance(seed, stream uint64) chance {
	return chance{seed ^ stream*0x9e3779b97f4a7c15, seed != 0}
}

// next is SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014).
func (c *chance) next() uint64 {
	c.state += 0x9e3779b97f4a7c15
	z := c.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// early reports whether an operation lands now, before its wait.
func (c *chance) early() bool { return c.on && c.next()&1 == 0 }
