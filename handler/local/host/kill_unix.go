//go:build unix

package host

import (
	"os"
	"syscall"
)

func killGroup(p *os.Process) {
	syscall.Kill(-p.Pid, syscall.SIGKILL) //nolint:errcheck // gone already is as good
}
