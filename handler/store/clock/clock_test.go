package clock

import (
	"testing"
	"testing/synctest"
	"time"
)

// What an answer says of the time is old if it came late: a process that stood still on
// its way would be behind by that until the next one.
func TestALateAnswerDoesNotTellTheTime(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name      string
		took      time.Duration
		first     bool
		wantsLate time.Duration // how far the clock is behind afterwards
	}{
		{"at once", 0, false, 0},
		{"in a second", time.Second, false, 0},
		{"it stood still", 6 * time.Minute, false, 0},
		{"it stood still, and nothing better is known", 6 * time.Minute, true, 6 * time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				clock := New(time.Now)
				if !c.first {
					clock.Observe(time.Now(), time.Now())
				}
				asked := time.Now()
				time.Sleep(c.took)
				clock.Observe(asked, asked)
				now, ok := clock.Now()
				if late := time.Since(now); !ok || late != c.wantsLate {
					t.Errorf("%s behind, %v", late, ok)
				}
			})
		})
	}
}
