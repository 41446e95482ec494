package hook

import (
	"bytes"
	"crypto/rand"
	"net/netip"
	"testing"
	"time"

	"github.com/posthorn/posthorn/handler/accept/keyring"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store/mem"
)

func formHook(perAddress, perHour int) Hook {
	return Hook{Holder: keyring.Holder{Name: "contact"}, Policy: Policy{Builtin: "form", Form: &Form{Origins: []string{"*"}, PerAddress: perAddress, PerHour: perHour}}}
}

func TestWhoPostsAFormTooOftenIsToldWhenToComeAgain(t *testing.T) {
	t.Parallel()
	var (
		ann   = netip.MustParseAddr("192.0.2.1")
		bob   = netip.MustParseAddr("192.0.2.2")
		house = netip.MustParseAddr("2001:db8:1:2:a::1")
		same  = netip.MustParseAddr("2001:db8:1:2:b::2")
		other = netip.MustParseAddr("2001:db8:1:3::1")
		nasty = netip.MustParseAddr("::ffff:192.0.2.1")
	)
	for _, c := range []struct {
		name          string
		perAddr, all  int
		before        []netip.Addr
		wait          time.Duration
		now           netip.Addr
		taken         bool
		waits, atMost time.Duration
	}{
		{"the first", 2, 9, nil, 0, ann, true, 0, 0},
		{"the last that is allowed", 2, 9, []netip.Addr{ann}, 0, ann, true, 0, 0},
		{"one too many", 2, 9, []netip.Addr{ann, ann}, 0, ann, false, 30 * time.Minute, 30 * time.Minute},
		{"one too many, too early", 2, 9, []netip.Addr{ann, ann}, 29 * time.Minute, ann, false, time.Minute, time.Minute},
		{"after the wait", 2, 9, []netip.Addr{ann, ann}, 30 * time.Minute, ann, true, 0, 0},
		{"another address", 2, 9, []netip.Addr{ann, ann}, 0, bob, true, 0, 0},
		{"the same address, written as IPv6", 2, 9, []netip.Addr{ann, ann}, 0, nasty, false, time.Minute, time.Hour},
		{"another address of one household", 2, 9, []netip.Addr{house, house}, 0, same, false, time.Minute, time.Hour},
		{"another household", 2, 9, []netip.Addr{house, house}, 0, other, true, 0, 0},
		{"many addresses", 2, 3, []netip.Addr{ann, bob, other}, 0, house, false, 20 * time.Minute, 20 * time.Minute},
		{"nobody knows from where", 2, 3, []netip.Addr{{}, {}}, 0, netip.Addr{}, true, 0, 0},
		{"nobody knows from where, too often", 2, 3, []netip.Addr{{}, {}, {}}, 0, netip.Addr{}, false, 20 * time.Minute, 20 * time.Minute},
		{"the usual number from one address", 0, 0, repeated(ann, FormPerAddress-1), 0, ann, true, 0, 0},
		{"more than the usual number", 0, 0, repeated(ann, FormPerAddress), 0, ann, false, 3 * time.Minute, 3 * time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var r Rates
			h := formHook(c.perAddr, c.all)
			for _, from := range c.before {
				if err := r.Count(h, from, noon); err != nil {
					t.Fatal(err)
				}
			}
			err := r.Count(h, c.now, noon.Add(c.wait))
			if (err == nil) != c.taken {
				t.Fatal(err)
			}
			if err == nil {
				return
			}
			if p := problem.Of(err); p.Kind != problem.TooManyRequests || p.RetryAfter < c.waits || p.RetryAfter > c.atMost {
				t.Errorf("%v, again in %v", err, p.RetryAfter)
			}
			if err := r.Count(formHook(c.perAddr, c.all), c.now, noon.Add(c.wait+problem.Of(err).RetryAfter)); err != nil {
				t.Errorf("after the wait: %v", err)
			}
			elsewhere := h
			elsewhere.Name = "another"
			if err := r.Count(elsewhere, c.now, noon.Add(c.wait)); err != nil {
				t.Errorf("another form: %v", err)
			}
		})
	}
}

func TestTheLimitsOfAFormAreChanged(t *testing.T) {
	t.Parallel()
	r := NewRegistry(mem.NewTable(time.Now, nil), keyring.Masters{bytes.Repeat([]byte("m"), 32)}, rand.Reader, time.Now)
	for _, h := range []Hook{{Holder: keyring.Holder{Name: "contact"}, Policy: contact(t).Policy}, sample{builtin: "generic"}.hook()} {
		if _, err := r.Add(t.Context(), h, ""); err != nil {
			t.Fatal(err)
		}
	}
	fewer := func(f Form) Form { f.PerHour, f.Cap = 50, 20; return f }
	if err := r.SetForm(t.Context(), "contact", fewer); err != nil {
		t.Fatal(err)
	}
	h, err := r.Find(t.Context(), "contact", Delivery{})
	if err != nil || h.Policy.Form.PerHour != 50 || h.Policy.Form.Cap != 20 || h.Policy.Form.Waiting() != FormMaxWaiting || len(h.Policy.Form.Origins) != 1 {
		t.Errorf("%+v, %v", h.Policy.Form, err)
	}
	for name, c := range map[string]struct {
		change func(Form) Form
		kind   problem.Kind
	}{
		"contact": {func(f Form) Form { f.Cap = 101; return f }, problem.InvalidRequest},
		"mine":    {fewer, problem.InvalidRequest},
		"nobody":  {fewer, problem.NotFound},
	} {
		if err := r.SetForm(t.Context(), name, c.change); !problem.Is(err, c.kind) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func repeated(a netip.Addr, n int) (all []netip.Addr) {
	for range n {
		all = append(all, a)
	}
	return all
}

// A stranger with many addresses does not make the memory of rates grow, and what is in it
// is forgotten.
func TestTheMemoryOfRatesIsBounded(t *testing.T) {
	t.Parallel()
	var r Rates
	h := formHook(1, 1<<30)
	from := func(n int) netip.Addr {
		return netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})
	}
	for n := range 3 * ratesKept {
		if err := r.Count(h, from(n), noon); err != nil {
			t.Fatal(n, err)
		}
	}
	if len(r.seen) != ratesKept {
		t.Errorf("%d are kept", len(r.seen))
	}
	if err := r.Count(h, from(7), noon); !problem.Is(err, problem.TooManyRequests) {
		t.Errorf("one that is kept: %v", err)
	}
	if err := r.Count(h, from(1<<20), noon.Add(2*rateWindow)); err != nil || len(r.seen) > 2 {
		t.Errorf("later %d are kept, %v", len(r.seen), err)
	}
}
