package telemetry

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestComplaintOnceAMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		c := &complaint{log: slog.New(slog.NewTextHandler(&log, nil)), now: time.Now}
		for range 125 { // one a second, so at 0, 60 and 120 s
			c.about(t.Context(), errors.New("away"))
			c.about(t.Context(), nil)
			time.Sleep(time.Second)
		}
		var said []string
		for line := range strings.Lines(log.String()) {
			_, rest, _ := strings.Cut(strings.TrimSpace(line), "level=")
			said = append(said, rest)
		}
		const word = `WARN msg="telemetry export failed, data lost" error=away suppressed=`
		if got, want := strings.Join(said, "\n"), word+"0\n"+word+"59\n"+word+"59"; got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	})
}
