package amx

import "golang.org/x/sys/unix"

// Of arch_prctl(2): asks for a state of the processor that is large and off at first.
const (
	requestPermission = 0x1023 // ARCH_REQ_XCOMP_PERM
	tileData          = 18     // XFEATURE_XTILEDATA
)

func permitted() bool {
	_, _, errno := unix.RawSyscall(unix.SYS_ARCH_PRCTL, requestPermission, tileData, 0)
	return errno == 0
}
