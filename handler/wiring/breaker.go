package wiring

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

const (
	// answerTime is how long one try of a small request to storage may take: more than
	// an account needs under a thousand requests at once.
	answerTime = 10 * time.Second
	// briefTime is how long a try may take while the breaker is open, and the SDK makes
	// no other try after it: a write and the read after it give up within 2 s.
	briefTime = 500 * time.Millisecond
	// mostBrief is how many brief tries go at once; the others fail untried. A try that
	// gives up closes its connection, and the next needs a TLS handshake: many of them would
	// keep a slow storage slow.
	mostBrief = 4
	// probePause is the time between two probes. Each may take answerTime.
	probePause = 15 * time.Second
)

// breaker is a circuit breaker for small requests to one service, which may accept
// connections and never answer. A try that has no answer opens it, unless another try
// had one meanwhile. While the breaker is open, tries are brief and few, so that callers
// hear at once that nothing was sent, and a probe now and then takes its time. Any answer
// closes the breaker: to a brief try, of storage that is back, or to a probe, of storage
// that is slow. See docs/decisions/breaker.md.
type breaker struct {
	now func() time.Time

	mu        sync.Mutex
	open      bool
	answered  time.Time // the last time
	nextProbe time.Time
	brief     int // tries under way
}

func (b *breaker) Do(req *policy.Request) (*http.Response, error) {
	parent := req.Raw().Context()
	limit, done := b.begin()
	if limit == 0 {
		return nil, noRetryError{errors.New("circuit breaker is open: storage does not answer")}
	}
	ctx, cancel := context.WithTimeout(parent, limit)
	defer cancel() // the policy below has read the body
	res, err := req.WithContext(ctx).Next()
	if parent.Err() != nil {
		done(unknown)
		return res, err
	}
	if timeout, ok := errors.AsType[net.Error](err); !ok || !timeout.Timeout() {
		done(answer)
		return res, err
	}
	done(silence)
	if limit == briefTime {
		err = noRetryError{err}
	}
	return res, err
}

// noRetryError is the error of a try that the SDK's client does not make again.
type noRetryError struct{ error }

// NonRetriable implements an interface of azcore.
func (noRetryError) NonRetriable() {}

// outcome is what a try says of the service.
type outcome int

const (
	unknown outcome = iota // the caller has left
	answer
	silence
)

// begin says how long a try may take, or 0 if it may not begin.
func (b *breaker) begin() (limit time.Duration, done func(outcome)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	begun := b.now()
	switch {
	case !b.open:
		limit = answerTime
	case !begun.Before(b.nextProbe):
		limit, b.nextProbe = answerTime, begun.Add(probePause)
	case b.brief < mostBrief:
		limit = briefTime
		b.brief++
	default:
		return 0, nil
	}
	return limit, func(o outcome) {
		b.mu.Lock()
		defer b.mu.Unlock()
		if limit == briefTime {
			b.brief--
		}
		switch {
		case o == answer:
			b.open, b.answered = false, b.now()
		case o == silence && limit == answerTime && !b.open && !b.answered.After(begun):
			b.open, b.nextProbe = true, b.now().Add(probePause)
		}
	}
}
