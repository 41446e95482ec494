//go:build !unix

package host

import (
	"os"
	"syscall"
)

func ownGroup() *syscall.SysProcAttr { return nil }

func killGroup(p *os.Process) {
	p.Kill() //nolint:errcheck // gone already is as good
}
