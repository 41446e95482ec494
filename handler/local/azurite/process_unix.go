//go:build unix && !linux

package azurite

import "syscall"

const terminate = syscall.SIGTERM

// processAttributes keep a Ctrl-C of the terminal from Azurite, which is stopped
// after those who use it.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
