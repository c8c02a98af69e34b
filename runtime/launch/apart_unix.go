//go:build unix

package launch

import (
	"os/exec"
	"syscall"
)

// apart keeps signals of the terminal from a process: the first rank gets them, and lets the others end when it does.
func apart(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
