package dtype

// E2M1Max is the largest number of e2m1.
const E2M1Max = 6

// e2m1 is what the sixteen codes stand for.
var e2m1 = [16]float32{0, 0.5, 1, 1.5, 2, 3, 4, 6, 0, -0.5, -1, -1.5, -2, -3, -4, -6}

// E2M1ToF32 returns what a code of e2m1 stands for: a sign, two bits of exponent, one of mantissa (OCP Microscaling Formats, version 1.0, section 5.3.3). The
// sign of zero is lost.
func E2M1ToF32(code uint8) float32 { return e2m1[code&15] }

// e2m1Ends are where codes become the next ones. A number in the middle goes to the even code: up from those that even tells.
var e2m1Ends = [7]struct {
	end  float32
	even bool
}{{0.25, false}, {0.75, true}, {1.25, false}, {1.75, true}, {2.5, false}, {3.5, true}, {5, false}}

// F32ToE2M1 returns the code nearest to x, of two the even one; what is larger than all becomes the largest.
func F32ToE2M1(x float32) uint8 {
	sign := uint8(0)
	if x < 0 {
		sign, x = 8, -x
	}
	code := uint8(0)
	for _, e := range e2m1Ends {
		if x > e.end || x == e.end && e.even {
			code++
		}
	}
	if code == 0 {
		return 0
	}
	return sign | code
}
