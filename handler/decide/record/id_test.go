package record_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/problem"
)

func TestAMadeIDCarriesItsLastDay(t *testing.T) {
	t.Parallel()
	b := record.New(record.Tables{}, time.Now, uuid.NewString).Keeping(30 * day)
	date := func(y, m, d int) time.Time { return time.Date(y, time.Month(m), d, 0, 0, 0, 0, time.UTC) }
	for _, c := range []struct {
		name        string
		last, until time.Time
	}{
		{"in the middle of a day", date(2026, 11, 29).Add(12 * time.Hour), date(2026, 12, 30)},
		{"at its beginning", date(2026, 11, 29), date(2026, 12, 30)},
		{"at its end", date(2026, 11, 29).Add(23*time.Hour - time.Second), date(2026, 12, 30)},
		{"so late that a wrong clock might miss the day", date(2026, 11, 29).Add(23 * time.Hour), date(2026, 12, 31)},
		{"in another zone", time.Date(2026, 11, 29, 1, 0, 0, 0, time.FixedZone("", 2*3600)), date(2026, 12, 30)},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			id := b.MakeID("random", c.last)
			r := record.Record{ID: id, Caller: "shop"}
			if until, sure := r.Until(); !sure || !until.Equal(c.until) {
				t.Errorf("%s lives until %v, %t, want %v", id, until, sure, c.until)
			}
			u, err := uuid.Parse(id)
			if err != nil || u.Version() != 8 || u.Variant() != uuid.RFC4122 {
				t.Errorf("%s is version %d: %v", id, u.Version(), err)
			}
			operation := record.OperationID("shop", id)
			if operation == id || operation[:4] != id[:4] {
				t.Errorf("the operation id of %s is %s", id, operation)
			}
		})
	}
}

func TestOneIDOfTwoCallersIsTwoOperations(t *testing.T) {
	t.Parallel()
	b := record.New(record.Tables{}, time.Now, uuid.NewString)
	for _, id := range []string{"1", "6f1c9a54-0b1e-4e55-9d53-c2f8e2c0a7d1", b.MakeID("a", time.Now())} {
		if record.OperationID("shop", id) == record.OperationID("club", id) {
			t.Errorf("%s names one operation for two callers", id)
		}
	}
	if b.MakeID("a", time.Now()) == b.MakeID("b", time.Now()) {
		t.Error("two texts make one id")
	}
}

// Ids of other makers, and those that Posthorn derives, do not pass as made ones.
func TestOtherIDsCarryNoDay(t *testing.T) {
	t.Parallel()
	passed := 0
	carries := func(id string) bool {
		_, sure := (&record.Record{ID: id}).Until()
		return sure
	}
	for i := range 50_000 {
		text := time.Unix(int64(i), 0).String()
		if id := record.DerivedID("idempotency key", "shop", text); carries(id) {
			t.Fatalf("%s, derived, carries a day", id)
		}
		if u := uuid.NewSHA1(uuid.Nil, []byte(text)); true {
			u[6] = u[6]&0x0f | 0x80
			if carries(u.String()) {
				passed++
			}
		}
	}
	if passed > 5 {
		t.Errorf("%d of 50,000 foreign ids pass", passed)
	}
	for _, id := range []string{"", "1", "6f1c9a54-0b1e-4e55-9d53-c2f8e2c0a7d1", uuid.Nil.String(), uuid.Max.String()} {
		if carries(id) {
			t.Errorf("%q carries a day", id)
		}
	}
}

// A caller may name a message by an id that Posthorn made: that of a message before, which
// is repeated then, or one of a message that nobody knows any more.
func TestACallerMayNameAMessageByAMadeID(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newStores()
		b.ours.Keeping(day)
		b.theirs.Keeping(day)
		made := func(text string) record.Record {
			return record.Record{ID: b.ours.MakeID(text, time.Now()), Caller: "shop", Fingerprint: "f", Deadline: time.Now().Add(time.Hour)}
		}
		first := made("1")
		must(t, b.ours.MarkSending(t.Context(), &first))
		must(t, b.ours.Finish(t.Context(), &first, record.Accepted, nil))
		there, replay, err := b.theirs.Claim(t.Context(), made("1"))
		if err != nil || !replay || there.State != record.Accepted || there.Lasting {
			t.Errorf("a repeat: %+v, %t, %v", there, replay, err)
		}
		other := made("1")
		other.Fingerprint = "g"
		if _, _, err := b.theirs.Claim(t.Context(), other); !problem.Is(err, problem.KeyReused) {
			t.Errorf("another message: %v", err)
		}

		r := mustClaim(t, b.theirs, made("2"))
		if b.lasting.Rows() != 1 {
			t.Error("the record of a named message does not last")
		}
		must(t, b.theirs.Finish(t.Context(), r, record.Accepted, nil))
		if got := state(t, b.ours, r.ID); got != record.Accepted {
			t.Errorf("the second is %s", got)
		}
		if _, replay, err := b.ours.Claim(t.Context(), made("2")); err != nil || !replay {
			t.Errorf("a repeat of the second: %t, %v", replay, err)
		}

		unsent := made("3")
		must(t, b.ours.MarkSending(t.Context(), &unsent))
		must(t, b.ours.MarkUnsent(t.Context(), &unsent))
		late := made("3")
		late.Deadline = time.Now().Add(7 * day)
		if _, _, err := b.theirs.Claim(t.Context(), late); !problem.Is(err, problem.KeyReused) {
			t.Errorf("a repeat that may outlive the record: %v", err)
		}
		again := mustClaim(t, b.theirs, made("3"))
		if again.State != record.Unknown || !again.Resolving || again.Lasting {
			t.Errorf("a repeat of what was not sent: %+v", again)
		}
	})
}
