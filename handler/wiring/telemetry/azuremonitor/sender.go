package azuremonitor

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

const (
	maxTries       = 3
	firstWait      = time.Second
	maxWait        = 10 * time.Second // a longer Retry-After means the items are lost
	attemptTimeout = 10 * time.Second
	maxAnswerBytes = 1 << 20
	// entraScope has two slashes in a row: the resource's name ends in one.
	entraScope = "https://monitor.azure.com//.default"
)

// sender posts envelopes. It may be used concurrently.
type sender struct {
	connection
	credential azcore.TokenCredential // may be nil
	client     *http.Client
}

// outcome is what one attempt came to. All items are in it: taken, lost, or to
// be tried again.
type outcome struct {
	again []envelope
	lost  int
	wait  time.Duration // what the service asks for, or 0
	err   error         // why items are lost, or have to be tried again if none is
}

// send tries until all items are taken or lost. A lost answer can make the
// service count an item twice.
func (s *sender) send(ctx context.Context, items []envelope) error {
	total, lost := len(items), 0
	var why error
	for try, wait := 1, firstWait; ; try, wait = try+1, 2*wait {
		o := s.attempt(ctx, items)
		if len(o.again) > 0 && (try == maxTries || !sleep(ctx, max(wait, o.wait))) {
			o.lost, o.again = o.lost+len(o.again), nil
		}
		if o.lost > 0 {
			lost, why = lost+o.lost, o.err
		}
		if len(o.again) == 0 {
			break
		}
		items = o.again
	}
	if lost == 0 {
		return nil
	}
	if err := ctx.Err(); err != nil && !errors.Is(why, err) {
		why = fmt.Errorf("%w, then %w", why, err)
	}
	return fmt.Errorf("%d of %d items are lost: %w", lost, total, why)
}

func (s *sender) attempt(ctx context.Context, items []envelope) outcome {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	req, err := s.request(ctx, items)
	if err != nil {
		return outcome{lost: len(items), err: err}
	}
	res, err := s.client.Do(req)
	if err != nil {
		return outcome{again: items, err: err}
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswerBytes))
	switch {
	case res.StatusCode == http.StatusOK:
		return outcome{}
	case res.StatusCode == http.StatusPartialContent && err == nil:
		return partial(items, answer)
	case passing(res.StatusCode):
		return outcome{again: items, wait: retryAfter(res.Header), err: statusError(res.StatusCode)}
	default:
		return outcome{lost: len(items), err: statusError(res.StatusCode)}
	}
}

func (s *sender) request(ctx context.Context, items []envelope) (*http.Request, error) {
	for i := range items {
		items[i].Key = s.key
	}
	var body bytes.Buffer
	zip := gzip.NewWriter(&body)
	if err := json.NewEncoder(zip).Encode(items); err != nil {
		return nil, fmt.Errorf("encode envelopes: %w", err)
	}
	if err := zip.Close(); err != nil {
		return nil, fmt.Errorf("compress envelopes: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.track.String(), &body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Content-Encoding", "gzip")
	req.Header.Set("Accept", "application/json")
	if s.credential != nil {
		token, err := s.credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{entraScope}})
		if err != nil {
			// The credential's own error quotes whole answers of Microsoft Entra.
			return nil, errors.New("no token from Microsoft Entra")
		}
		req.Header.Set("Authorization", "Bearer "+token.Token)
	}
	return req, nil
}

// partial reads an answer that lists by index the items which were not taken.
func partial(items []envelope, answer []byte) outcome {
	var list struct {
		Errors []struct {
			Index      int `json:"index"`
			StatusCode int `json:"statusCode"`
		} `json:"errors"`
	}
	if err := json.Unmarshal(answer, &list); err != nil {
		return outcome{lost: len(items), err: errors.New("the answer to a part that was not taken cannot be read")}
	}
	var o outcome
	seen := map[int]bool{}
	for _, e := range list.Errors {
		if e.Index < 0 || e.Index >= len(items) || seen[e.Index] {
			continue
		}
		seen[e.Index] = true
		if !passing(e.StatusCode) {
			o.lost, o.err = o.lost+1, statusError(e.StatusCode)
			continue
		}
		o.again = append(o.again, items[e.Index])
		if o.lost == 0 {
			o.err = statusError(e.StatusCode)
		}
	}
	return o
}

// passing says whether the same item may be taken in a moment. 402 and 439, the
// quota of the day, and 401 and 403, a missing role, are not over so soon.
func passing(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

func statusError(status int) error {
	return errors.New("status " + strconv.Itoa(status))
}

// retryAfter reads seconds or a date, the date against the server's own clock.
func retryAfter(h http.Header) time.Duration {
	text := h.Get("Retry-After")
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	until, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	now, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return 0
	}
	return until.Sub(now)
}

// sleep says whether it is worth trying again afterwards.
func sleep(ctx context.Context, d time.Duration) bool {
	if d > maxWait {
		return false
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// sameMethodAndScheme lets the service send us to another region, by 307 or 308,
// and stops where a redirect would drop the body or the encryption.
func sameMethodAndScheme(req *http.Request, via []*http.Request) error {
	if len(via) > 3 || req.Method != http.MethodPost || req.URL.Scheme != via[0].URL.Scheme {
		return http.ErrUseLastResponse
	}
	return nil
}
