package relative

import "testing"

// What transformers' T5Attention._relative_position_bucket gives (4.57), for T5's own buckets and narrow ones.
func TestBucketsAreThoseOfT5(t *testing.T) {
	for _, c := range []struct {
		Buckets
		distances, want []int
	}{
		{Buckets{32, 128, true}, []int{-200, -128, -127, -91, -90, -64, -63, -46, -45, -16, -15, -12, -11, -8, -7, -1, 0, 1, 7, 8, 11, 12, 16, 64, 90, 91, 128, 500},
			[]int{15, 15, 15, 15, 14, 14, 13, 13, 12, 10, 9, 9, 8, 8, 7, 1, 0, 17, 23, 24, 24, 25, 26, 30, 30, 31, 31, 31}},
		{Buckets{32, 128, false}, []int{-300, -128, -113, -112, -64, -32, -17, -16, -15, -1, 0, 1, 40}, []int{31, 31, 31, 30, 26, 21, 16, 16, 15, 1, 0, 0, 0}},
		{Buckets{16, 40, true}, []int{-41, -40, -22, -13, -7, -5, -4, -3, 0, 3, 4, 8, 30}, []int{7, 7, 6, 6, 4, 4, 4, 3, 0, 11, 12, 13, 15}},
	} {
		if err := c.Check(); err != nil {
			t.Fatal(err)
		}
		for i, d := range c.distances {
			if got := c.Of(d); got != c.want[i] {
				t.Errorf("%+v: distance %d is in bucket %d, want %d", c.Buckets, d, got, c.want[i])
			}
		}
	}
}

func TestBucketsAreChecked(t *testing.T) {
	for _, b := range []Buckets{{}, {1, 8, false}, {2, 8, true}, {7, 8, true}, {32, 16, false}, {32, 8, true}, {32, MaxReach + 1, false}, {-4, 8, false}} {
		if b.Check() == nil {
			t.Errorf("%+v passes", b)
		}
	}
}

// Buckets are within the table, and grow with the distance on either side.
func FuzzBuckets(f *testing.F) {
	f.Add(32, 128, true, 100)
	f.Add(3, 2, false, -2)
	f.Fuzz(func(t *testing.T, count, reach int, both bool, distance int) {
		b := Buckets{count, reach, both}
		if b.Check() != nil || distance < -1<<30 || distance > 1<<30 {
			return
		}
		got := b.Of(distance)
		if got < 0 || got >= count || distance <= 0 && b.Of(distance-1) < got || distance > 0 && b.Of(distance+1) < got {
			t.Fatalf("%+v: bucket %d of distance %d, %d and %d beside it", b, got, distance, b.Of(distance-1), b.Of(distance+1))
		}
	})
}
