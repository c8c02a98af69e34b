package proc

import "testing"

func TestMachine(t *testing.T) {
	cpu := "processor\t: 0\nmodel name\t: A Processor\nflags\t\t: fpu avx2 avx512f amx_tile\n\nprocessor\t: 1\nmodel name\t: Another\n"
	if got, want := machine(cpu, "MemTotal:       24600000 kB\nMemFree: 1 kB\n", 2), "A Processor, 2 processors, AVX2 AVX-512 AMX, 23 GiB"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := machine("", "", 3); got == "" {
		t.Error("nothing is said of a machine without /proc")
	}
}
