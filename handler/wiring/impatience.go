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
	// briefTime is how long a try may take while storage answers nobody, and there is
	// no other after it: a write and the read after it give up within 2 s.
	briefTime = 500 * time.Millisecond
	// mostBrief is how many brief tries go at once; the others fail untried. Each that gives
	// up closes its connection, and the next greets by TLS: many would keep a storage that
	// is only slow from ever being quick again.
	mostBrief = 4
	// probePause is the time between two tries that wait for answerTime meanwhile.
	probePause = 15 * time.Second
)

// impatience bounds the tries of small requests to one service that may accept
// connections and never answer. Once a try has had no answer, and nobody else had one
// meanwhile, nobody waits for long, so that callers hear at once that nothing was
// sent, until there is one: of storage that is back, or to one of the few tries that
// go on waiting, of storage that is slow.
type impatience struct {
	now func() time.Time

	mu       sync.Mutex
	answered time.Time // the last time
	silent   bool      // nobody has had an answer since a try that waited began
	probe    time.Time // when another may wait
	brief    int       // tries under way that do not wait for long
}

func (i *impatience) Do(req *policy.Request) (*http.Response, error) {
	parent := req.Raw().Context()
	limit, done := i.begin()
	if limit == 0 {
		return nil, silenceError{errors.New("storage does not answer, and enough tries wait for it")}
	}
	ctx, cancel := context.WithTimeout(parent, limit)
	defer cancel() // the policy below has read the body
	res, err := req.WithContext(ctx).Next()
	if parent.Err() != nil {
		done(nil)
		return res, err
	}
	timeout, ok := errors.AsType[net.Error](err)
	silent := ok && timeout.Timeout()
	done(&silent)
	if silent && limit == briefTime {
		err = silenceError{err}
	}
	return res, err
}

// silenceError is the error of a try that the SDK's client does not make again.
type silenceError struct{ error }

// NonRetriable implements an interface of azcore.
func (silenceError) NonRetriable() {}

// begin says how long a try may take; 0: it may not begin. done takes whether it had no
// answer, or nil if that is not known.
func (i *impatience) begin() (limit time.Duration, done func(silent *bool)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	begun := i.now()
	limit = answerTime
	if i.silent {
		switch {
		case !begun.Before(i.probe):
			i.probe = begun.Add(probePause)
		case i.brief == mostBrief:
			return 0, nil
		default:
			limit = briefTime
			i.brief++
		}
	}
	return limit, func(silent *bool) {
		i.mu.Lock()
		defer i.mu.Unlock()
		if limit == briefTime {
			i.brief--
		}
		switch {
		case silent == nil:
		case !*silent:
			i.silent, i.answered = false, i.now()
		case limit == answerTime && !i.silent && !i.answered.After(begun):
			i.silent, i.probe = true, i.now().Add(probePause)
		}
	}
}
