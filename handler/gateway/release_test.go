package gateway_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/deliver/spool"
	"github.com/posthorn/posthorn/handler/gateway/sim"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/store/mem"
)

// Whichever call of a release is the last before its process dies, is refused, or loses
// its answer: the message is sent once, and nothing of it is left.
func TestAReleaseThatDiesHalfWayLosesNothing(t *testing.T) {
	t.Parallel()
	faults := map[string]sim.Fault{"dies before": sim.KillBefore, "dies after": sim.KillAfter, "refused": sim.Refuse, "answer lost": sim.Lose, "repeated": sim.Repeat}
	for _, c := range []struct {
		name string
		site sim.Site
	}{
		{"record read", sim.Site{Where: "records", Op: mem.Get}},
		{"content read", sim.Site{Where: "lines", Op: mem.Get}},
		{"blob read", sim.Site{Where: "content", Op: mem.Read}},
		{"place", sim.Site{Where: "ledger", Op: mem.Replace}},
		{"blob", sim.Site{Where: "content", Op: mem.Put}},
		{"row", sim.Site{Where: "lines", Op: mem.Insert}},
		{"record", sim.Site{Where: "records", Op: mem.Replace, State: record.Waiting}},
		{"blob of before", sim.Site{Where: "content", Op: mem.Delete}},
		{"row of before", sim.Site{Where: "lines", Op: mem.Delete}},
	} {
		for name, fault := range faults {
			t.Run(c.name+" "+name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					w, tr := troubled(t)
					if c.site.Where == "content" {
						w.UseBlobs()
					}
					w.Play()
					cr := newCrowd(w)
					for _, subject := range []string{"first", "second"} {
						cr.offer(t, shop, "", sim.Message(subject, `"delivery":{"sendAt":"`+rfc(time.Hour)+`"}`))
						cr.all.Wait()
						time.Sleep(time.Second)
					}
					entry := entryIn(t, w, cr.promises[1].ID)
					tr.set(at(c.site, fault))
					_ = w.Any().Release(t.Context(), entry) // nobody hears of it
					tr.set(nil)
					time.Sleep(4 * time.Hour) // its time and the clean-up have come
					w.Stop()
					ends(t, w, cr)
					for _, p := range cr.promises {
						found, err := w.Any().Find(t.Context(), shop, p.ID)
						if err != nil || found.State != record.Accepted {
							t.Errorf("it is %+v, %v", found.Record, err)
						}
					}
					usage, err := w.Any().Usage(t.Context(), mail.CustomDomain, shop)
					if blobs, _ := w.Left(t.Context()); blobs != 0 || err != nil || usage.WaitingAll != 0 {
						t.Errorf("%d blobs are left, %d are counted, %v", blobs, usage.WaitingAll, err)
					}
				})
			})
		}
	}
}

func entryIn(t *testing.T, w *sim.World, id string) *spool.Entry {
	t.Helper()
	for entry, err := range w.Any().Spool.AllEntries(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if entry.ID == id {
			return &entry
		}
	}
	t.Fatalf("%s does not wait", id)
	return nil
}
