package numa

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// policyOf asks the kernel by which policy, and from which nodes, the page at an address is taken.
func policyOf(t *testing.T, at *byte) (policy int32, nodes uint64) {
	t.Helper()
	const ofAddress = 2
	_, _, errno := unix.Syscall6(unix.SYS_GET_MEMPOLICY, uintptr(unsafe.Pointer(&policy)), uintptr(unsafe.Pointer(&nodes)), 64, uintptr(unsafe.Pointer(at)), ofAddress, 0)
	if errno == unix.ENOSYS || errno == unix.EPERM {
		t.Skip("the kernel tells nothing: ", errno)
	}
	if errno != 0 {
		t.Fatal(errno)
	}
	return policy, nodes
}

// Whole pages get the policy, others in the same memory do not, and what they hold stays.
func TestMemoryIsBound(t *testing.T) {
	page := os.Getpagesize()
	mem, err := unix.Mmap(-1, 0, 16*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(mem)
	copy(mem[page:], bytes.Repeat([]byte{7}, 3*page))
	if err := Bring(mem[page-5:4*page+9], 0); err == unix.ENOSYS || err == unix.EPERM {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	if err := Interleave(mem[8*page:12*page], []int{0}); err != nil {
		t.Fatal(err)
	}
	for i, want := range map[int]int32{0: 0, 1: preferred, 3: preferred, 4: 0, 8: interleave, 11: interleave, 12: 0} {
		if policy, nodes := policyOf(t, &mem[i*page]); policy != want || want != 0 && nodes != 1 {
			t.Errorf("page %d: policy %d of nodes %b, want %d", i, policy, nodes, want)
		}
	}
	if !bytes.Equal(mem[page:4*page], bytes.Repeat([]byte{7}, 3*page)) {
		t.Error("memory that was brought is not what it was")
	}
	for _, small := range [][]byte{nil, mem[:1], mem[1:page], mem[page-1 : page+1]} {
		if err := Bring(small, 0); err != nil {
			t.Errorf("%d bytes without a whole page: %v", len(small), err)
		}
	}
	for _, id := range []int{-1, 1 << 20} {
		if Bring(mem, id) == nil {
			t.Errorf("node %d is not refused", id)
		}
	}
}

// Pages of a mapped file can be brought too.
func TestFilesAreBrought(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	content := bytes.Repeat([]byte("weights "), 1<<16)
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	mem, err := unix.Mmap(int(f.Fd()), 0, len(content), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(mem)
	if err := Bring(mem, 0); err == unix.ENOSYS || err == unix.EPERM {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(mem, content) {
		t.Error("the file is another")
	}
}

func TestPin(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before := Allowed()
	if len(before) == 0 {
		t.Fatal("no processors")
	}
	for _, cpu := range before {
		back, err := Pin(Node{CPUs: []int{cpu}})
		if err != nil {
			t.Fatal(err)
		}
		if now := Allowed(); !slices.Equal(now, []int{cpu}) {
			t.Errorf("pinned to %d, may use %v", cpu, now)
		}
		back()
		if now := Allowed(); !slices.Equal(now, before) {
			t.Errorf("back on %v, was on %v", now, before)
		}
	}
}
