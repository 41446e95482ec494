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
	block  *block // being filled; nil between blocks
	filled int
}

func (in *Intake) newStream() (*stream, error) {
	name, err := blobName(in.offload.config.Rand, movedFolder)
	return &stream{intake: in, blob: name}, err
}

// readFrom sends what r has to its end. An error of r comes back as it is.
func (s *stream) readFrom(ctx context.Context, r io.Reader) (size int64, err error) {
	for {
		space, err := s.space(ctx)
		if err != nil {
			return size, err
		}
		n, err := r.Read(space)
		s.filled += n
		size += int64(n)
		switch {
		case err == io.EOF: //nolint:errorlint // io.Reader promises it bare
			return size, nil
		case err != nil:
			return size, err
		}
	}
}

// write sends data, of which it makes a copy.
func (s *stream) write(ctx context.Context, data []byte) error {
	for len(data) > 0 {
		space, err := s.space(ctx)
		if err != nil {
			return err
		}
		n := copy(space, data)
		s.filled += n
		data = data[n:]
	}
	return nil
}

// space is where the next bytes go. It waits until a block is free.
func (s *stream) space(ctx context.Context) ([]byte, error) {
	if s.filled == BlockBytes {
		s.send()
	}
	if s.block == nil {
		if err := s.intake.flight.turn(ctx); err != nil {
			return nil, err
		}
		s.block = s.intake.offload.blocks.Get().(*block) //nolint:forcetypeassert // the pool holds nothing else
	}
	return s.block[s.filled:], nil
}

// end sends the last block.
func (s *stream) end() {
	switch {
	case s.filled > 0:
		s.send()
	case s.block != nil:
		s.drop()
	}
}

func (s *stream) send() {
	full := s.block
	s.intake.flight.send(s.blob, s.blocks, full[:s.filled], func() { s.intake.offload.blocks.Put(full) })
	s.block, s.filled = nil, 0
	s.blocks++
}

// drop gives the block that is being filled back, for a stream that breaks off.
func (s *stream) drop() {
	if s.block != nil {
		s.intake.offload.blocks.Put(s.block)
		s.block, s.filled = nil, 0
		s.intake.flight.giveBack()
	}
}
