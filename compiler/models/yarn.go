package models

import "math"

// ropeYarn (Peng et al. 2023, "YaRN", https://arxiv.org/abs/2309.00071) divides frequencies that turn less than beta_slow times
// over the original length by the factor, leaves those that turn more than beta_fast times, and ramps between.
func ropeYarn(r *rope, p *ropeParams) {
	factor := p.ratio()
	low, high := p.yarnRange()
	freq := p.wavelengths(p.base)
	for i, w := range freq {
		ramp := min(max((float32(i)-float32(low))/float32(high-low), 0), 1)
		keep := 1 - ramp
		freq[i] = float32(1/(float32(factor)*w)*(1-keep)) + float32(1/w*keep)
	}
	r.invFreq = [][]float32{freq}
	r.factor = p.yarnAttention(factor)
	r.maxContext = max(r.maxContext, int64(min(float64(p.originalMax)*factor, maxPositions)))
}

// yarnRange returns the indices of the frequencies between which the ramp rises.
func (p *ropeParams) yarnRange() (low, high float64) {
	orDefault := func(key string, def float64) float64 {
		if x := p.f.FloatOr(key, def, 0, 1e6); x != 0 { // transformers takes 0 for missing
			return x
		}
		return def
	}
	// index of the frequency that turns so many times over the original length
	index := func(turns float64) float64 {
		return float64(p.dim) * math.Log(float64(p.originalMax)/(turns*2*math.Pi)) / (2 * math.Log(p.base))
	}
	low, high = index(orDefault("beta_fast", 32)), index(orDefault("beta_slow", 1))
	if p.f.BoolOr("truncate", true) {
		low, high = math.Floor(low), math.Ceil(high)
	}
	low, high = max(low, 0), min(high, float64(p.dim-1))
	if low == high {
		high += 0.001
	}
	return low, high
}

// yarnAttention returns what sine and cosine are multiplied with, so that scores keep their spread.
func (p *ropeParams) yarnAttention(factor float64) float64 {
	inferred := yarnSpread(factor, 1)
	m, all := p.f.FloatOr("mscale", 0, 0, 1e6), p.f.FloatOr("mscale_all_dim", 0, 0, 1e6)
	if m != 0 && all != 0 {
		inferred = yarnSpread(factor, m) / yarnSpread(factor, all)
	}
	return p.f.FloatOr("attention_factor", inferred, 1e-6, 1e6)
}

// yarnSpread is how much scores sharpen when the context grows by the factor.
func yarnSpread(factor, m float64) float64 {
	if factor <= 1 {
		return 1
	}
	return 0.1*m*math.Log(factor) + 1
}
