package kernel

// LayerNorm computes dst = (x - mean(x)) / sqrt(variance(x) + eps) * w + bias; bias may be nil.
func (s *Set) LayerNorm(dst, x, w, bias []float32, eps float32) {
	n := len(dst)
	if n == 0 {
		return
	}
	mean := s.row.sum(&x[:n][0], n) / float32(n)
	s.fold.shift(&dst[0], &x[0], n, mean)
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
