package quota_test

import (
	"context"
	"testing"
	"time"

	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/store"
)

// told is a table in memory whose clock, and the local one, is told what time it is.
type told struct {
	rows map[string]store.Entity
	at   time.Time
}

func (s *told) now() time.Time { return s.at }

func (s *told) receipt() store.Receipt {
	return store.Receipt{ETag: "1", Time: s.at.Truncate(time.Second)}
}

func (s *told) Get(_ context.Context, row, _ string) (store.Entity, store.Receipt, error) {
	e, found := s.rows[row]
	if !found {
		return store.Entity{}, s.receipt(), store.ErrMissing
	}
	return e, s.receipt(), nil
}

func (s *told) Insert(ctx context.Context, e store.Entity) (store.Receipt, error) {
	return s.Replace(ctx, e)
}

func (s *told) Replace(_ context.Context, e store.Entity) (store.Receipt, error) {
	e.ETag = "1"
	s.rows[e.Partition] = e
	return s.receipt(), nil
}

// A reservation in a row that has an hour of them behind it, at a limit that is used to nine
// tenths. A fresh one reads the row first, as an instance must that shares it with others.
func BenchmarkReserve(b *testing.B) {
	for _, bench := range []struct {
		name   string
		limits quota.Limits
		rows   int
	}{
		{"100_an_hour", quota.CustomDomainSend, 1},
		{"8000_an_hour", quota.Limits{PerMinute: 1000, PerHour: 8000}, 1},
		{"2000000_an_hour", quota.Limits{PerMinute: 50_000, PerHour: 2_000_000}, 16},
	} {
		for _, name := range []string{"", "/fresh"} {
			b.Run(bench.name+name, func(b *testing.B) {
				s := &told{rows: map[string]store.Entity{}, at: time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)}
				newID := ids()
				l := quota.New(s, "send", bench.limits, s.now, newID)
				step := time.Hour * time.Duration(bench.rows) / time.Duration(bench.limits.PerHour) * 10 / 9
				reserve := func() {
					s.at = s.at.Add(step)
					if _, err := l.ReserveAgain(b.Context(), 0, costing(1)); err != nil {
						b.Fatal(err)
					}
				}
				for range bench.limits.PerHour / bench.rows {
					reserve()
				}
				b.ReportAllocs()
				for b.Loop() {
					if name != "" {
						l = quota.New(s, "send", bench.limits, s.now, newID)
					}
					reserve()
				}
			})
		}
	}
}
