package offload

import (
	"context"
	"sync"

	"github.com/posthorn/posthorn/handler/mail"
)

// Shared are the files of several messages that have the same attachments: each
// has the links of all. They are staged and committed once, and for all of them
// discarded. ApplyTo is for one goroutine.
type Shared struct {
	*Move
	mu                sync.Mutex
	staged, committed bool
}

// NewShared makes a Move good for several messages.
func NewShared(mv *Move) *Shared { return &Shared{Move: mv} }

// ApplyTo does to m what Plan has done to its own message: m has the same attachments
// and is not larger, so it fits too.
func (s *Shared) ApplyTo(m *mail.Message) error {
	if len(s.files) == 0 {
		return nil
	}
	b, err := newBlock(localeFor(s.language, s.offload.config.DefaultLanguage), s.files)
	if err != nil {
		return err
	}
	for _, f := range s.files {
		if a := &m.Attachments[f.link.Index]; a.Content != nil { // others may read the same
			a.Content = nil
		}
	}
	b.addTo(&m.Content, sync.OnceValue(func() int { return endOfBody(m.Content.HTML) }))
	return nil
}

// Stage is Move's, once.
func (s *Shared) Stage(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.staged {
		return nil
	}
	err := s.Move.Stage(ctx)
	s.staged = err == nil
	return err
}

// WriteRow is Move's.
func (s *Shared) WriteRow(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Move.WriteRow(ctx)
}

// Commit is Move's, once.
func (s *Shared) Commit(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.committed {
		return nil
	}
	err := s.Move.Commit(ctx)
	s.committed = err == nil
	return err
}

// Discard does nothing: one of the messages may have the links. DiscardAll is for
// the case that no message was sent.
func (s *Shared) Discard(context.Context) error { return nil }

// DiscardAll is Move's Discard.
func (s *Shared) DiscardAll(ctx context.Context) error { return s.Move.Discard(ctx) }
