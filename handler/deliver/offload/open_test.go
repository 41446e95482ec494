package offload

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store"
)

// assertSAS holds a URL against what any SAS of ours must be.
func assertSAS(t *testing.T, address string, now time.Time, life time.Duration, expires time.Time) {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	if q.Get("sp") != "r" || q.Get("sr") != "b" || q.Get("spr") != "https" || q.Get("sig") != secretSignature {
		t.Errorf("not read-only, for one blob, over HTTPS, or changed: %s", address)
	}
	from, err1 := time.Parse(time.RFC3339, q.Get("st"))
	until, err2 := time.Parse(time.RFC3339, q.Get("se"))
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
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
			token := s.linked(t, life)
			s.now = noon.Add(tt.at)
			location, err := s.Open(t.Context(), token)
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
		})
	}
}

func TestOpenElsewhere(t *testing.T) {
	t.Parallel()
	s := newSetting(func(c *Config) { c.DownloadOrigin = &url.URL{Scheme: "http", Host: "127.0.0.1:7071"} })
	location, err := s.Open(t.Context(), s.linked(t, time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(location, "http://127.0.0.1:7071/attachments/2026-11-24/") {
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
				"Open":   second(s.Open(t.Context(), tt.token)),
				"Revoke": s.Revoke(t.Context(), tt.token),
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
	for _, op := range []string{"get", "sign"} {
		t.Run(op, func(t *testing.T) {
			t.Parallel()
			s := newSetting()
			token := s.linked(t, time.Hour)
			s.cloud.fault = failing(op, 1, true)
			_, err := s.Open(t.Context(), token)
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
	for _, value := range []string{valueExpires, valueBlob} {
		t.Run("without "+value, func(t *testing.T) {
			t.Parallel()
			s := newSetting()
			token := s.linked(t, time.Hour)
			k, _ := keyOf(token)
			delete(s.cloud.rows[k].Values, value)
			if _, err := s.Open(t.Context(), token); !problem.Is(err, problem.Gone) {
				t.Errorf("got %v, want Gone", err)
			}
		})
	}
}

func TestAddressThatIsNone(t *testing.T) {
	t.Parallel()
	s := newSetting(func(c *Config) { c.Blobs = badSigner{c.Blobs} })
	_, err := s.Open(t.Context(), s.linked(t, time.Hour))
	if !problem.Is(err, problem.Internal) || strings.Contains(err.Error(), secretSignature) {
		t.Errorf("got %v, want Internal without the signature", err)
	}
}

// badSigner quotes a signature in an address that cannot be parsed.
type badSigner struct{ Blobs }

func (badSigner) SignRead(context.Context, string, time.Time, time.Time) (string, error) {
	return "https://account\x7f/?sig=" + secretSignature, nil
}

func TestRevoke(t *testing.T) {
	t.Parallel()
	busy := func(times int) func(string, int) (error, bool) {
		return func(op string, nth int) (error, bool) {
			if op == "replace" && nth <= times {
				return store.ErrChanged, false
			}
			return nil, false
		}
	}
	lostFirst := func(op string, nth int) (error, bool) {
		if op == "replace" && nth == 1 {
			return store.ErrChanged, true
		}
		return nil, false
	}
	tests := []struct {
		name  string
		fault func(string, int) (error, bool)
		kind  problem.Kind // Internal, the zero one: it is revoked
	}{
		{"at once", busy(0), 0},
		{"the row changed meanwhile", busy(1), 0},
		{"our own first answer was lost", lostFirst, 0},
		{"the row changes for ever", busy(100), problem.Unavailable},
		{"storage away", failing("replace", 1, true), problem.Unavailable},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newSetting()
			token := s.linked(t, time.Hour)
			s.cloud.fault = tt.fault
			err := s.Revoke(t.Context(), token)
			s.cloud.fault = failing("", 0, false)
			_, opened := s.Open(t.Context(), token)
			if tt.kind != 0 {
				if !problem.Is(err, tt.kind) || opened != nil {
					t.Errorf("got %v, then %v; want kind %v, then a link that opens", err, opened, tt.kind)
				}
				return
			}
			if err != nil || !problem.Is(opened, problem.Gone) {
				t.Errorf("got %v, then %v; want a link that is gone", err, opened)
			}
			if err := s.Revoke(t.Context(), token); err != nil {
				t.Errorf("again: %v", err)
			}
		})
	}
}
