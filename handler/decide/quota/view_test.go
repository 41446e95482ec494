package quota_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/posthorn/posthorn/handler/decide/quota"
)

func TestHeaders(t *testing.T) {
	t.Parallel()
	const policy = `"minute";q=30;w=60, "hour";q=100;w=3600`
	for name, test := range map[string]struct {
		steps func(*testing.T, *quota.Ledger)
		want  string
	}{
		"never seen": {func(*testing.T, *quota.Ledger) {}, ""},
		"some reserved": {func(t *testing.T, l *quota.Ledger) { t.Helper(); reserve(t, l, 3) },
			`"minute";r=27;t=69, "hour";r=97;t=3609`},
		"some left the minute": {func(t *testing.T, l *quota.Ledger) {
			t.Helper()
			reserve(t, l, 18)
			time.Sleep(60 * time.Second)
			reserve(t, l, 12)
			time.Sleep(9*time.Second + 500*time.Millisecond)
		}, `"minute";r=18;t=60, "hour";r=70;t=3540`},
		"none left": {func(t *testing.T, l *quota.Ledger) { t.Helper(); reserve(t, l, 31) },
			`"minute";r=0;t=69, "hour";r=70;t=3609`},
		"all left again": {func(t *testing.T, l *quota.Ledger) { t.Helper(); reserve(t, l, 30); time.Sleep(2 * time.Hour) },
			`"minute";r=30;t=60, "hour";r=100;t=3600`},
		"backing off": {func(t *testing.T, l *quota.Ledger) {
			t.Helper()
			reserve(t, l, 10)
			if err := l.Backoff(t.Context(), 10*time.Minute, quota.Grant{}); err != nil {
				t.Fatal(err)
			}
		}, `"minute";r=0;t=601, "hour";r=0;t=601`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := &instanceTable{tableRow: &tableRow{}}
				l := newLedger(f, quota.CustomDomainSend)
				test.steps(t, l)
				asked := f.gets + f.writes
				limit, gotPolicy := l.View().Headers()
				if limit != test.want || gotPolicy != policy {
					t.Errorf("RateLimit: %s\nwant:      %s\nRateLimit-Policy: %s", limit, test.want, gotPolicy)
				}
				if f.gets+f.writes != asked {
					t.Error("storage was asked")
				}
			})
		})
	}
}
