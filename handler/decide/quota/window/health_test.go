package window

import (
	"testing"
	"time"
)

func TestARowKeepsTheLongestBackOffsOfSenders(t *testing.T) {
	t.Parallel()
	var h Health
	for sender := uint32(1); sender <= sendersKept+4; sender++ {
		h.backOffSender(sender, 1000, time.Duration(sender)*time.Second)
	}
	for sender := uint32(1); sender <= sendersKept+4; sender++ {
		if until, want := h.senderOpensAt(sender), Instant(1000*(sender+1)); sender <= 4 && until != 0 || sender > 4 && until != want {
			t.Errorf("sender %d is held back until %d", sender, until)
		}
	}
}
