package azurite

import "syscall"

const terminate = syscall.SIGTERM

// processAttributes keep a Ctrl-C of the terminal from Azurite, which is stopped
// after those who use it, and end it with a parent that was killed.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
