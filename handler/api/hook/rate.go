package hook

import (
	"math"
	"net/netip"
	"sync"
	"time"

	"github.com/posthorn/posthorn/handler/problem"
)

const (
	// ratesKept bounds the memory of Rates, about a megabyte. Addresses beyond it are
	// bounded by the rate of their form alone.
	ratesKept = 10_000
	// networkBits is the IPv6 prefix of one household or one server: RFC 6177.
	networkBits = 64
	rateWindow  = time.Hour
	// forgetEvery is how often a full Rates looks for addresses to forget: it looks at all.
	forgetEvery = time.Minute
)

// Rates bound how often forms are posted, by form and by client address. Each
// process counts for itself, and addresses stand in its memory alone. The zero value is
// ready. It is safe for concurrent use.
type Rates struct {
	mu     sync.Mutex
	seen   map[rateKey]rate
	forgot time.Time // when it last looked for addresses to forget
}

// rateKey is a form and who posts it; the form as a whole has no network.
type rateKey struct {
	form string
	from netip.Prefix
}

// rate is how much of what is allowed in rateWindow was used at a time. It drains evenly.
type rate struct {
	used float64
	at   time.Time
}

func (r rate) now(most int, now time.Time) float64 {
	return max(0, r.used-float64(most)*now.Sub(r.at).Seconds()/rateWindow.Seconds())
}

// Count counts a post of a form from an address, which may be unknown. It is a problem of
// kind TooManyRequests, and counts nothing, if there were too many.
func (r *Rates) Count(h Hook, from netip.Addr, now time.Time) error {
	form, one := rateKey{form: h.Name}, rateKey{form: h.Name, from: network(from)}
	perAddress, perHour := h.Policy.Form.Rates()
	r.mu.Lock()
	defer r.mu.Unlock()
	all, own := r.seen[form].now(perHour, now), r.seen[one].now(perAddress, now)
	if from.IsValid() && own+1 > float64(perAddress) {
		return tooOften("This form was sent too often from this address. It was not taken.", own, perAddress)
	}
	if all+1 > float64(perHour) {
		return tooOften("This form was sent too often in the last hour. It was not taken.", all, perHour)
	}
	if r.seen == nil {
		r.seen = map[rateKey]rate{}
	}
	r.seen[form] = rate{all + 1, now}
	if from.IsValid() && r.hasRoom(one, now) {
		r.seen[one] = rate{own + 1, now}
	}
	return nil
}

// hasRoom says whether there is a place for an address. Who has not posted for as long as
// rateWindow is forgotten then.
func (r *Rates) hasRoom(one rateKey, now time.Time) bool {
	if _, known := r.seen[one]; known || len(r.seen) < ratesKept {
		return true
	}
	if since := now.Sub(r.forgot); since >= 0 && since < forgetEvery {
		return false
	}
	r.forgot = now
	for key, of := range r.seen {
		if now.Sub(of.at) >= rateWindow {
			delete(r.seen, key)
		}
	}
	return len(r.seen) < ratesKept
}

func tooOften(detail string, used float64, most int) error {
	p := problem.New(problem.TooManyRequests, "%s Try again after Retry-After.", detail)
	p.RetryAfter = time.Duration(math.Ceil((used+1-float64(most))/float64(most)*rateWindow.Seconds())) * time.Second
	return p
}

// network is what of an address one client cannot change at will.
func network(of netip.Addr) netip.Prefix {
	of = of.Unmap().WithZone("")
	bits := of.BitLen()
	if of.Is6() {
		bits = networkBits
	}
	p, _ := of.Prefix(bits) // of an invalid address there is none
	return p
}
