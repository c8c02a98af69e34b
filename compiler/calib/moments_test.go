package calib

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestMomentsAreSumsOfProducts(t *testing.T) {
	const cols, n = 70, 600
	r := rand.New(rand.NewPCG(6, 6))
	rows := make([][]float32, n)
	for i := range rows {
		rows[i] = normal(r, cols)
	}
	var first []float32
	for _, run := range []struct{ threads, step int }{{1, n}, {3, 100}, {2, 257}} {
		m, err := NewMoments(t.TempDir(), "", map[string]int{"x": cols, "y": 5}, run.threads)
		if err != nil {
			t.Fatal(err)
		}
		for at := 0; at < n; at += run.step {
			m.Add("x", rows[at:min(n, at+run.step)])
			m.Add("z", rows[at:at+1])
		}
		in := m.Of("x")
		if in == nil || in.Rows != n || in.Cols != cols || m.Of("y") != nil || m.Of("z") != nil {
			t.Fatalf("inputs %+v, %v, %v", in, m.Of("y"), m.Of("z"))
		}
		if first == nil {
			first = slices.Clone(in.Moments)
		} else {
			for i := range cols {
				if at := i*cols + i; !slices.Equal(first[at:(i+1)*cols], in.Moments[at:(i+1)*cols]) {
					t.Fatalf("row %d depends on threads or steps", i)
				}
			}
		}
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for i := range cols {
		for j := i; j < cols; j++ {
			sum := 0.0
			for _, row := range rows {
				sum += float64(row[i]) * float64(row[j])
			}
			if got := float64(first[i*cols+j]); math.Abs(got-sum) > 1e-2 {
				t.Fatalf("columns %d and %d: %g, want %g", i, j, got, sum)
			}
		}
	}
}

func TestSplitKeepsWindowsApart(t *testing.T) {
	for _, windows := range []int{4, 7, 8, 40, 41, 42, 81, 1000} {
		splitsApart(t, windows, RunWindows)
	}
	for _, most := range []int{FewestWindows, 4, 7, 8, 50, 64, MostWindows} {
		splitsApart(t, 1200, most)
	}
	if _, _, err := Split(make([]int32, MinTokens-1), RunWindows); err == nil {
		t.Error("a text that is too short is taken")
	}
}

func splitsApart(t *testing.T, windows, most int) {
	t.Helper()
	ids := make([]int32, windows*Window+17)
	for i := range ids {
		ids[i] = int32(i)
	}
	run, measured, err := Split(ids, most)
	if err != nil || len(measured) == 0 || len(measured)%Window != 0 || len(run) > most || len(run) < min(windows-1, most)*3/4 || len(measured) > (len(run)/(HeldOut-1)+1)*Window {
		t.Fatalf("%d windows, %d to run: %d run, %d tokens measured, %v", windows, most, len(run), len(measured), err)
	}
	seen := map[int32]bool{}
	for _, window := range append(slices.Collect(slices.Chunk(measured, Window)), run...) {
		if len(window) != Window || seen[window[0]] || window[0]%Window != 0 {
			t.Fatalf("%d windows: one of %d tokens at %d", windows, len(window), window[0])
		}
		seen[window[0]] = true
	}
}

func TestTooManyMomentsAreSeen(t *testing.T) {
	if few := map[string]int{"a": 90000, "b": 90000}; TooMany(few) {
		t.Error("two inputs are too many")
	}
	many := map[string]int{"a": 90000, "b": 90000, "c": 90000}
	if !TooMany(many) {
		t.Error("three are not")
	}
	if _, err := NewMoments(t.TempDir(), "", many, 1); err == nil {
		t.Error("room is made for them")
	}
}
