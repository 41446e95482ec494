package wiring

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

const (
	// answerTime is how long one try of a small request to storage may take: ten
	// times what a busy account needs, and short enough for the tries after it.
	answerTime = 5 * time.Second
	// briefTime is how long a try may take while storage answers nobody: three of
	// them, and the pauses between, are less than 2 s.
	briefTime = 400 * time.Millisecond
)

// impatience bounds the tries of small requests to one service that may accept
// connections and never answer. While the last try had no answer, one try at a time
// waits for answerTime, to find out when the service is back; nobody else waits for
// long, so that callers hear at once that nothing was sent.
type impatience struct {
	mu      sync.Mutex
	silent  bool // the last try that ended had no answer
	probing bool
}

func (i *impatience) Do(req *policy.Request) (*http.Response, error) {
	parent := req.Raw().Context()
	limit, done := i.begin()
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
	if silent && ctx.Err() != nil {
		err = fmt.Errorf("storage gave no answer within %v", limit)
	}
	return res, err
}

// begin says how long a try may take. done takes whether it had no answer, or nil
// if that is not known.
func (i *impatience) begin() (limit time.Duration, done func(silent *bool)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	limit = answerTime
	probe := i.silent && !i.probing
	switch {
	case probe:
		i.probing = true
	case i.silent:
		limit = briefTime
	}
	return limit, func(silent *bool) {
		i.mu.Lock()
		defer i.mu.Unlock()
		if probe {
			i.probing = false
		}
		// That a brief try had no answer proves nothing.
		if silent != nil && (!*silent || limit == answerTime) {
			i.silent = *silent
		}
	}
}
