package wiring

import "github.com/posthorn/posthorn/handler/api/rest"

// baseMemoryMB is for all that is not the body of a request: the program itself,
// its connections, what the garbage collector has not found yet, the spare blocks
// of attachments, and the reserve for small requests.
const (
	baseMemoryMB   = 64
	smallReserveMB = 16
	// programMB is what the limit of Go's memory does not count: the program's own pages.
	programMB = 32
)

// Requests without a proof, and forms, have memory of their own, so that no caller with a
// key waits for them. Where there is enough, it is 8 MiB, and the memory of the largest form
// or of hundreds of usual ones.
const (
	mostUnprovenMB = 8
	mostFormsMB    = 34
)

// memory divides what the process may use.
func memory(megabytes int) rest.Budget {
	left := int64(megabytes-baseMemoryMB) << 20
	b := rest.Budget{Reserve: smallReserveMB << 20, Unproven: min(mostUnprovenMB<<20, left/16), Forms: min(mostFormsMB<<20, left/7)}
	b.Common = left - b.Unproven - b.Forms
	return b
}

// CommonBytes is what requests of callers may use of it, in bytes.
func CommonBytes(megabytes int) int64 { return memory(megabytes).Common }

// CollectorBytes is where the garbage collector begins to work hard, for a process of so many
// MiB: what strangers may use, and seldom do, is no room for garbage.
func CollectorBytes(megabytes int) int64 {
	b := memory(megabytes)
	return int64(megabytes-programMB)<<20 - b.Unproven - b.Forms
}
