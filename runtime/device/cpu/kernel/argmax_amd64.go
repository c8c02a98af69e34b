package kernel

import "math"

// argMaxBy finds the largest element first, then its place.
func argMaxBy(maxOf func(x *float32, n int) float32, indexOf func(x *float32, n int, v float32) int) func(x *float32, n int) int {
	return func(x *float32, n int) int {
		top := maxOf(x, n)
		if math.IsInf(float64(top), -1) {
			return 0
		}
		return indexOf(x, n, top)
	}
}
