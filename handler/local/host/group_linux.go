package host

import "syscall"

// ownGroup gives the handler a process group, and kills it when the stand-in
// dies without a chance to do so itself. (The kernel watches the thread that
// started the handler; Go ends none that is not locked to a goroutine.)
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
