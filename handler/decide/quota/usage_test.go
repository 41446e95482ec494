package quota_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/problem"
)

// What was reserved within a second counts from its end, since that is all that the row says
// of it and all that Date shows.
func TestAReservationCountsAWholeWindowFromTheEndOfItsSecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		limits := quota.Limits{PerMinute: 600, PerHour: 20_000}
		l := newLedger(&instanceTable{tableRow: &tableRow{}}, limits)
		reserve := func(cost int) error {
			_, err := l.Reserve(t.Context(), costing(cost))
			return err
		}
		first := reserve(1) // reads the clock at a whole second
		time.Sleep(900 * time.Millisecond)
		if err := errors.Join(first, reserve(599)); err != nil {
			t.Fatal(err)
		}
		width := time.Minute + quota.MaxAge + 2*quota.ClockError
		time.Sleep(width - 400*time.Millisecond)
		if err := reserve(599); !problem.Is(err, problem.OverQuota) {
			t.Errorf("%v after the reservation: %v", width-400*time.Millisecond, err)
		}
		time.Sleep(500 * time.Millisecond)
		if err := reserve(599); err != nil {
			t.Errorf("a whole window after the end of the second: %v", err)
		}
	})
}
