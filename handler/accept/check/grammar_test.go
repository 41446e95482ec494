package check

import (
	"errors"
	"strings"
	"testing"

	"github.com/posthorn/posthorn/handler/mail"
)

func TestGrammars(t *testing.T) {
	t.Parallel()
	rows := []struct {
		grammar string
		good    []string
		bad     []string
		err     error
	}{
		{"mediatype", []string{"text/plain", "TEXT/Plain; charset=utf-8", "application/vnd.a+xml", "message/rfc822"}, nil, nil},
		{
			"mediatype", nil,
			[]string{"text", "text/", "/plain", "text/plain/x", "te xt/plain", " text/plain", "text/plain; x", "text/plain; x=\"ü\"", "téxt/plain"},
			errMediaType,
		},
		{"utf8", []string{"", "a\u202e\r\n\x01"}, nil, nil},
		{"utf8", nil, []string{"\xff", "\xed\xa0\x80"}, mail.ErrUTF8},
		{"line", []string{"", "Grüße 👩‍👩‍👧", "a\u00a0b"}, nil, nil},
		{"line", nil, []string{"\xff"}, mail.ErrUTF8},
	}
	for _, row := range rows {
		for _, s := range append(row.good, row.bad...) {
			if err := grammars[row.grammar](s); !errors.Is(err, row.err) {
				t.Errorf("%s %q: %v, want %v", row.grammar, s, err, row.err)
			}
		}
	}
}

// TestLineOnEveryRune holds that what ends, hides in or turns round a line is
// refused, wherever a line is wanted, and nothing else is.
func TestLineOnEveryRune(t *testing.T) {
	t.Parallel()
	for r := rune(0); r <= 0x2100; r++ {
		control := r < 0x20 || 0x7f <= r && r < 0xa0 || r == 0x2028 || r == 0x2029
		turns := r == 0x61c || r == 0x200e || r == 0x200f || 0x202a <= r && r <= 0x202e || 0x2066 <= r && r <= 0x2069
		s := "a" + string(r) + "b"
		err := mail.Line(s)
		if (err != nil) != (control || turns) {
			t.Errorf("%U: %v", r, err)
		}
		if err == nil {
			continue
		}
		if strings.Contains(err.Error(), "direction") != turns {
			t.Errorf("%U has the reason %q", r, err)
		}
		for _, grammar := range []string{"mediatype", "mailbox"} {
			if grammars[grammar](s) == nil {
				t.Errorf("%s lets %U through", grammar, r)
			}
		}
		if headerName("X-"+s) == nil || headerValue("X-A", headerText("X-A", s)) == nil {
			t.Errorf("headers let %U through", r)
		}
	}
}
