package offload

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store"
	"github.com/posthorn/posthorn/handler/store/mem"
)

// assertSAS holds a URL against what any SAS of ours must be.
func assertSAS(t *testing.T, address string, now time.Time, life time.Duration, expires time.Time) {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	begin, err1 := strconv.ParseInt(q.Get("st"), 10, 64)
	end, err2 := strconv.ParseInt(q.Get("se"), 10, 64)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	from, until := time.Unix(begin, 0).UTC(), time.Unix(end, 0).UTC()
	if from.After(now.Add(-ClockSkew)) {
		t.Errorf("begins %v, which a slow clock at %v takes for the future", from, now)
	}
	if until.Sub(from) > life || until.After(expires) || !until.After(now) {
		t.Errorf("lives from %v until %v; at most %v and until %v", from, until, life, expires)
	}
}

func TestOpen(t *testing.T) {
	t.Parallel()
	const life = 36 * time.Hour
	tests := []struct {
		name string
		at   time.Duration // after the link was made
		kind problem.Kind  // Internal, the zero one: it opens
	}{
		{"at once", 0, 0},
		{"late in its life", life - time.Second, 0},
		{"at the end of its life", life, problem.Gone},
		{"a second too late", life + time.Second, problem.Gone},
		{"a year too late", life + 365*24*time.Hour, problem.Gone},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newSetting()
			token := s.linked(t, life).token
			s.now = noon.Add(tt.at)
			location, err := s.open(t.Context(), token)
			if tt.kind != 0 {
				if location != "" || !problem.Is(err, tt.kind) {
					t.Errorf("got %q, %v, want kind %v", location, err, tt.kind)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			assertSAS(t, location, s.now, mail.ClickSASLife, noon.Add(life))
			if r := s.cloud.get(t, location); r.StatusCode != http.StatusOK || r.ContentLength != 10 {
				t.Errorf("status %d, %d bytes", r.StatusCode, r.ContentLength)
			}
		})
	}
}

func TestOpenElsewhere(t *testing.T) {
	t.Parallel()
	s := newSetting(func(c *Config) { c.DownloadOrigin = &url.URL{Scheme: "http", Host: "127.0.0.1:7071"} })
	location, err := s.open(t.Context(), s.linked(t, time.Hour).token)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(location, "http://127.0.0.1:7071/moved%2F") {
		t.Errorf("got %s", location)
	}
	assertSAS(t, location, s.now, mail.ClickSASLife, noon.Add(time.Hour))
}

func TestOpenUnknown(t *testing.T) {
	t.Parallel()
	const random = "abcdefghijklmnopqrstuvwxyz"
	tests := []struct {
		name, token string
		kind        problem.Kind
		looked      bool // into storage
	}{
		{"never made, day to come", "20261223-" + random, problem.NotFound, true},
		{"never made, today", "20261123-" + random, problem.NotFound, true},
		{"row swept, day over", "20261122-" + random, problem.Gone, true},
		{"no such day", "20261323-" + random, problem.NotFound, false},
		{"empty", "", problem.NotFound, false},
		{"too short", "20261223-" + random[1:], problem.NotFound, false},
		{"too long", "20261223-" + random + "a", problem.NotFound, false},
		{"very long", strings.Repeat("a", 1<<20), problem.NotFound, false},
		{"upper case", "20261223-" + strings.ToUpper(random), problem.NotFound, false},
		{"no separator", "20261223a" + random, problem.NotFound, false},
		{"a path", "20261223-../../../../../../abcde/", problem.NotFound, false},
		{"another alphabet", "20261223-" + random[:25] + "1", problem.NotFound, false},
		{"line end", "20261223-" + random[:25] + "\n", problem.NotFound, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newSetting()
			for call, err := range map[string]error{
				"Open":   second(s.open(t.Context(), tt.token)),
				"Revoke": s.RevokeLinks(t.Context(), tt.token),
			} {
				if !problem.Is(err, tt.kind) {
					t.Errorf("%s: got %v, want kind %v", call, err, tt.kind)
				}
			}
			if looked := s.cloud.calls["get"] > 0; looked != tt.looked {
				t.Errorf("looked into storage: %t, want %t", looked, tt.looked)
			}
		})
	}
}

func second(_ string, err error) error { return err }

func TestOpenWithStorageAway(t *testing.T) {
	t.Parallel()
	for _, call := range []string{"get", "sign"} {
		t.Run(call, func(t *testing.T) {
			t.Parallel()
			s := newSetting()
			token := s.linked(t, time.Hour).token
			s.cloud.fault = refusing(call)
			_, err := s.open(t.Context(), token)
			if !problem.Is(err, problem.Unavailable) {
				t.Errorf("got %v, want Unavailable", err)
			}
			if strings.Contains(err.Error(), token) {
				t.Error("the error tells the token")
			}
		})
	}
}

func TestOpenRowOfAnotherMaking(t *testing.T) {
	t.Parallel()
	for _, value := range []string{valueExpires, fileValue(1)} {
		t.Run("without "+value, func(t *testing.T) {
			t.Parallel()
			s := newSetting()
			token := s.linked(t, time.Hour).token
			row := s.cloud.rows(t)[0]
			delete(row.Values, value)
			if _, err := s.cloud.table.Replace(t.Context(), row); err != nil {
				t.Fatal(err)
			}
			if _, err := s.open(t.Context(), token); !problem.Is(err, problem.Gone) {
				t.Errorf("got %v, want Gone", err)
			}
		})
	}
}

func TestAddressThatIsNone(t *testing.T) {
	t.Parallel()
	s := newSetting(func(c *Config) { c.Blobs = badSigner{c.Blobs} })
	_, err := s.open(t.Context(), s.linked(t, time.Hour).token)
	if !problem.Is(err, problem.Internal) || strings.Contains(err.Error(), secretSignature) {
		t.Errorf("got %v, want Internal without the signature", err)
	}
}

const secretSignature = "c2VjcmV0/+="

// badSigner quotes a signature in an address that cannot be parsed.
type badSigner struct{ Blobs }

func (badSigner) SignRead(context.Context, string, store.BlobHeaders, time.Time, time.Time) (string, error) {
	return "https://account\x7f/?sig=" + secretSignature, nil
}

func TestRevoke(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		fault   fault
		changes int          // of the row by others, one before each try
		kind    problem.Kind // Internal, the zero one: it is revoked
	}{
		{"at once", nil, 0, 0},
		{"the row changed meanwhile", nil, 1, 0},
		{"our own first answer was lost", failing("replace", 1, mem.Repeated), 0, 0},
		{"the row changes for ever", nil, 100, problem.Unavailable},
		{"storage away", refusing("replace"), 0, problem.Unavailable},
		{"storage away for reading", refusing("get"), 0, problem.Unavailable},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newSetting()
			token := s.linked(t, time.Hour).token
			s.cloud.fault = func(call string, nth int) mem.Fault {
				if call == "replace" && nth <= tt.changes {
					s.cloud.touch(t)
				}
				if tt.fault != nil {
					return tt.fault(call, nth)
				}
				return mem.Fault{}
			}
			err := s.RevokeLinks(t.Context(), token)
			s.cloud.fault = nil
			if told, err := s.Summarize(t.Context(), token); err != nil || told.Revoked == (tt.kind != 0) || told.Files != 1 || told.Downloads != 0 || told.Expires.IsZero() {
				t.Errorf("the operator is told %+v, %v", told, err)
			}
			_, opened := s.open(t.Context(), token)
			if tt.kind != 0 {
				if !problem.Is(err, tt.kind) || opened != nil {
					t.Errorf("got %v, then %v; want kind %v, then a link that opens", err, opened, tt.kind)
				}
				return
			}
			if err != nil || !problem.Is(opened, problem.Gone) {
				t.Errorf("got %v, then %v; want a link that is gone", err, opened)
			}
			if err := s.RevokeLinks(t.Context(), token); err != nil {
				t.Errorf("again: %v", err)
			}
		})
	}
}

// touch writes every row as it is, so that its ETag changes.
func (c *cloud) touch(t *testing.T) {
	for _, row := range c.rows(t) {
		c.calmly(func() {
			if _, err := c.table.Replace(t.Context(), row); err != nil {
				t.Error(err)
			}
		})
	}
}
