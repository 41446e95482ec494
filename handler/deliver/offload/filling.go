package offload

import "hash"

const (
	// partBytes is how much of a block is worth telling the goroutine that sums it.
	partBytes = 128 << 10
	// partsBehind bounds how far that may be behind; then the reader waits for it.
	partsBehind = 8
)

// filling is a block between its turn and its way to storage. Its checksum is made
// by a goroutine of its own while it fills, so that reading and summing have a
// processor each, and a full block is ready to go. Its methods are for one
// goroutine.
type filling struct {
	data   []byte // its memory
	filled int
	told   int         // of filled, what parts has
	parts  chan []byte // closed when there will be no more
	sum    chan []byte // gets the checksum of all parts, and then nobody reads data any more
}

func newFilling(data []byte, checksum hash.Hash) *filling {
	f := &filling{data: data, parts: make(chan []byte, partsBehind), sum: make(chan []byte, 1)}
	go func() {
		for part := range f.parts {
			_, _ = checksum.Write(part) // never fails
		}
		f.sum <- checksum.Sum(nil)
	}()
	return f
}

// space is where the next bytes go. It is empty when the block is full.
func (f *filling) space() []byte { return f.data[f.filled:] }

// add says that space has so many bytes now, which stay as they are.
func (f *filling) add(n int) {
	f.filled += n
	if f.filled-f.told >= partBytes {
		f.tell()
	}
}

func (f *filling) tell() {
	f.parts <- f.data[f.told:f.filled]
	f.told = f.filled
}

// end is called once, when nothing more is added.
func (f *filling) end() {
	f.tell()
	close(f.parts)
}
