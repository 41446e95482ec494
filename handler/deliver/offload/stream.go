package offload

import (
	"context"
	"io"
)

// stream is one attachment that goes to staged blocks while it is being read.
type stream struct {
	intake *Intake
	blob   string
	blocks int    // sent
	listed bool   // the row of a message's links may list it, and is how it is found
	block  *block // that is being filled; nil between blocks
	filled int    // bytes of block
}

func (in *Intake) newStream() (*stream, error) {
	name, err := blobName(in.offload.config.Rand, movedFolder)
	s := &stream{intake: in, blob: name}
	in.streams = append(in.streams, s)
	return s, err
}

// readFrom sends what r has to its end. An error of r comes back as it is.
func (s *stream) readFrom(ctx context.Context, r io.Reader) (size int64, err error) {
	for {
		if err := s.makeSpace(ctx); err != nil {
			return size, err
		}
		n, err := r.Read(s.block[s.filled:])
		s.filled += n
		size += int64(n)
		switch {
		case err == io.EOF:
			return size, nil
		case err != nil:
			return size, err
		}
	}
}

// write sends a copy of data.
func (s *stream) write(ctx context.Context, data []byte) error {
	for len(data) > 0 {
		if err := s.makeSpace(ctx); err != nil {
			return err
		}
		n := copy(s.block[s.filled:], data)
		s.filled += n
		data = data[n:]
	}
	return nil
}

// makeSpace sends a full block, and waits for the memory of another.
func (s *stream) makeSpace(ctx context.Context) error {
	if s.block != nil && s.filled == BlockBytes {
		s.send()
	}
	if s.block != nil {
		return nil
	}
	if err := s.intake.reserve(ctx, BlockBytes); err != nil {
		return err
	}
	s.block, s.filled = s.intake.offload.blocks.Get().(*block), 0 //nolint:forcetypeassert // the pool holds nothing else
	return nil
}

// end sends the last block.
func (s *stream) end() {
	switch {
	case s.block == nil:
	case s.filled > 0:
		s.send()
	default:
		s.drop()
	}
}

func (s *stream) send() {
	full := s.block
	s.intake.flight.send(s.blob, s.blocks, full[:s.filled], func() { s.recycle(full) })
	s.block = nil
	s.blocks++
}

// drop gives the block that is being filled back, for a stream that breaks off.
func (s *stream) drop() {
	if s.block != nil {
		s.recycle(s.block)
		s.block = nil
	}
}

func (s *stream) recycle(b *block) {
	s.intake.offload.blocks.Put(b)
	s.intake.memory.Release(BlockBytes)
}
