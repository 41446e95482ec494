package caller_test

import (
	"log/slog"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/posthorn/posthorn/handler/accept/caller"
	"github.com/posthorn/posthorn/handler/accept/keyring"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store/mem"
)

// Each key has a day of its own; what is no key leaves none. A table that fails is no fault
// of the request.
func TestTheUseOfAKeyIsNoted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := newOffice()
		o.Registry.NoteUses(slog.New(slog.DiscardHandler))
		first := o.add(t, "shop", caller.Policy{}).Key
		o.clock = o.clock.Add(48 * time.Hour)
		second, err := o.Rotate(t.Context(), "shop")
		if err != nil {
			t.Fatal(err)
		}
		came := func(key string, good bool) {
			t.Helper()
			if _, err := o.Authenticate(t.Context(), withHeader("X-Api-Key", key)); good != (err == nil) {
				t.Errorf("%v", err)
			}
			synctest.Wait()
		}
		came(first[:len(first)-1]+"x", false)
		came(first, true)
		o.clock = o.clock.Add(24 * time.Hour)
		o.away = mem.Get
		came(second.Key, true) // and is not noted
		o.away = ""
		o.clock = o.clock.Add(24 * time.Hour)
		came(second.Key, true)
		want := map[keyring.KeyID]time.Time{
			{Name: "shop", Generation: 1}: time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC),
			{Name: "shop", Generation: 2}: time.Date(2026, 11, 27, 0, 0, 0, 0, time.UTC),
		}
		if last, err := o.LastUses(t.Context()); err != nil || !maps.Equal(last, want) {
			t.Errorf("%v, %v", last, err)
		}
		list, err := o.All(t.Context())
		if err != nil || len(list) != 1 || list[0].Made[2].Sub(list[0].Made[1]) != 48*time.Hour {
			t.Errorf("%+v, %v", list, err)
		}
		o.away = mem.List
		if _, err := o.LastUses(t.Context()); !problem.Is(err, problem.Unavailable) {
			t.Errorf("without storage: %v", err)
		}
	})
}
