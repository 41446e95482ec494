//go:build unix && !linux

package host

import "syscall"

// ownGroup gives the handler a process group.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
