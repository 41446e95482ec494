package offload

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/posthorn/posthorn/handler/mail"
)

func TestIntakeInAnyOrder(t *testing.T) {
	t.Parallel()
	contents := [][]byte{noise(1, 5000), {}, noise(2, 1)}
	in := newSetting().Intake(-1, 1<<20)
	for _, i := range []int{2, 0, 1, 7} {
		r := io.Reader(bytes.NewReader(nil))
		if i < len(contents) {
			r = iotest.OneByteReader(bytes.NewReader(contents[i]))
		}
		if err := in.Attachment(t.Context(), i, mail.Attachment{}, r); err != nil {
			t.Fatal(err)
		}
	}
	m := &mail.Message{Attachments: make([]mail.Attachment, 4)}
	in.Fill(m)
	for i, want := range contents {
		a := m.Attachments[i]
		if a.Content == nil || !bytes.Equal(a.Content, want) || a.Size != int64(len(want)) || a.SHA256 != sha256.Sum256(want) {
			t.Errorf("attachment %d: nil %t, %d bytes, size %d", i, a.Content == nil, len(a.Content), a.Size)
		}
	}
	if a := m.Attachments[3]; a.Content != nil || a.Size != 0 {
		t.Errorf("attachment without content: %+v", a)
	}
}

func TestIntakeOfWhatBreaksOff(t *testing.T) {
	t.Parallel()
	broken := errors.New("connection lost")
	in := newSetting().Intake(-1, 1<<20)
	err := in.Attachment(context.Background(), 0, mail.Attachment{}, io.MultiReader(bytes.NewReader(noise(1, 100)), iotest.ErrReader(broken)))
	if err != broken { //nolint:errorlint // it must come back as it is, not wrapped
		t.Errorf("got %v, want the reader's error as it is", err)
	}
	m := &mail.Message{Attachments: make([]mail.Attachment, 1)}
	in.Fill(m)
	if m.Attachments[0].Content != nil {
		t.Error("half an attachment was kept")
	}
}
