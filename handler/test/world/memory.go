package world

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// ResidentBytes is the memory that the program has now.
func (p *Program) ResidentBytes(tb testing.TB) int64 {
	tb.Helper()
	return p.memory(tb, "VmRSS:")
}

// PeakBytes is the most memory that the program has ever had at once.
func (p *Program) PeakBytes(tb testing.TB) int64 {
	tb.Helper()
	return p.memory(tb, "VmHWM:")
}

// memory reads a line of proc_pid_status(5).
func (p *Program) memory(tb testing.TB, line string) int64 {
	tb.Helper()
	if runtime.GOOS != "linux" {
		tb.Skip("only Linux tells the memory of a process in /proc")
	}
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(p.Cmd.Process.Pid), "status"))
	if err != nil {
		tb.Fatal(err)
	}
	_, after, _ := strings.Cut(string(status), line)
	kib, err := strconv.ParseInt(strings.Fields(after)[0], 10, 64)
	if err != nil {
		tb.Fatal(err)
	}
	return kib << 10
}
