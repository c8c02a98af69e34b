package kernel

// LayerNorm computes dst = (x - mean(x)) / sqrt(variance(x) + eps) * w + bias; bias may be nil.
func (s *Set) LayerNorm(dst, x, w, bias []float32, eps float32) {
	n := len(dst)
	if n == 0 {
		return
	}
	mean := rowMean(x[:n])
	for i, v := range x[:n] {
		dst[i] = v - mean
	}
	squares := s.row.sumSquares(&dst[0], n)
	s.row.scaleMul(&dst[0], &dst[0], &w[:n][0], n, inverseRMS(squares, n, eps))
	if bias != nil {
		s.row.add(&dst[0], &dst[0], &bias[:n][0], n)
	}
}

// AddLayerNorm computes sum = x + delta and dst = LayerNorm(sum). sum may be x or delta.
func (s *Set) AddLayerNorm(sum, dst, x, delta, w, bias []float32, eps float32) {
	s.Add(sum[:len(dst)], x, delta)
	s.LayerNorm(dst, sum, w, bias, eps)
}

// rowMean adds up in float64, in which the order of so few numbers does not show.
func rowMean(x []float32) float32 {
	n := float64(len(x))
	var a, b, c, d float64
	for ; len(x) >= 4; x = x[4:] {
		a, b, c, d = a+float64(x[0]), b+float64(x[1]), c+float64(x[2]), d+float64(x[3])
	}
	for _, v := range x {
		a += float64(v)
	}
	return float32((a + b + (c + d)) / n)
}
