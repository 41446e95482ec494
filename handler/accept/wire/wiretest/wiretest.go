// Package wiretest reads bodies for the tests of the dialects, and says what came
// of them in a form that is easy to compare.
package wiretest

import (
	"context"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/posthorn/posthorn/handler/accept/wire"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
)

// Keep is a sink that holds every attachment that came to its end.
type Keep map[int]string

// Attachment implements wire.Sink.
func (k Keep) Attachment(_ context.Context, i int, _ mail.Attachment, content io.Reader) error {
	b, err := io.ReadAll(content)
	if err != nil {
		return fmt.Errorf("keeping: %w", err)
	}
	k[i] = string(b)
	return nil
}

// Read reads a body, and what its attachments hold.
func Read(t *testing.T, s wire.Source, body string) ([]wire.Parsed, Keep, error) {
	t.Helper()
	kept := Keep{}
	messages, err := s.Read(t.Context(), strings.NewReader(body), kept)
	return messages, kept, err
}

// One is Read for a body that must be one good message.
func One(t *testing.T, s wire.Source, body string) (wire.Parsed, Keep) {
	t.Helper()
	messages, kept, err := Read(t, s, body)
	if err != nil || len(messages) != 1 {
		t.Fatalf("%d messages, %v", len(messages), err)
	}
	return messages[0], kept
}

// Faults are those of err as "pointer: detail", each.
func Faults(err error) []string {
	var all []string
	for _, f := range problem.Of(err).Violations {
		all = append(all, f.Pointer+": "+f.Detail)
	}
	return all
}

// Equal compares in depth.
func Equal(t *testing.T, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// Invalid wants a body to have just these violations.
func Invalid(t *testing.T, s wire.Source, body string, want ...string) {
	t.Helper()
	_, _, err := Read(t, s, body)
	if !problem.Is(err, problem.InvalidMessage) {
		t.Fatal(err)
	}
	Equal(t, Faults(err), want)
}

// Places wants each place of a message to stand where the map says.
func Places(t *testing.T, l wire.Parsed, want map[string]string) {
	t.Helper()
	for ours, theirs := range want {
		if got := l.Pointer(ours); got != theirs {
			t.Errorf("%s is %q, want %q", ours, got, theirs)
		}
	}
}
