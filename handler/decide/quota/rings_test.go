package quota_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/posthorn/posthorn/handler/decide/quota"
)

// What was booked at the end of a bucket counts as long as what was booked at its
// beginning could have: one bucket more is counted than the window has.
func TestARingCountsAWholeWindowFromTheEndOfABucket(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		limits := quota.Limits{PerMinute: 600, PerHour: 20_000}
		l := newLedger(&front{row: &row{}}, limits)
		time.Sleep(900 * time.Millisecond)
		all := costing(limits.PerMinute)
		if _, err := l.Reserve(t.Context(), all); err != nil {
			t.Fatal(err)
		}
		width := time.Minute + quota.MaxAge + 2*quota.ClockError
		time.Sleep(width - 400*time.Millisecond)
		if _, err := l.Reserve(t.Context(), all); err == nil {
			t.Errorf("a whole minute's limit was booked twice within %v", width-400*time.Millisecond)
		}
		time.Sleep(time.Second)
		if _, err := l.Reserve(t.Context(), all); err != nil {
			t.Errorf("after a whole window and a bucket: %v", err)
		}
	})
}
