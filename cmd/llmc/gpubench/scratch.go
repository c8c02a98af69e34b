package gpubench

import "syscall"

// sharedMemory is where Linux has files that no disk is waited for.
const sharedMemory = "/dev/shm"

// scratch is the directory for files of so many bytes: in memory if there is room for twice as much, else the system's for temporary ones.
func scratch(bytes int64) string {
	var s syscall.Statfs_t
	if syscall.Statfs(sharedMemory, &s) != nil || int64(s.Bavail)*int64(s.Bsize) < 2*bytes {
		return ""
	}
	return sharedMemory
}

// mostBytes is about what the plan takes, in the largest format.
func (s *shape) mostBytes() int64 {
	layer := s.hidden*(2*s.heads+2*s.kvHeads)*s.dim + 3*s.hidden*s.intermediate
	return 2 * int64(s.layers*layer+2*s.vocab*s.hidden)
}
