package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

const (
	// readyTry and sendTry bound one request: the gateway's own bounds and some
	// more. A request that hangs longer got lost.
	readyTry = 15 * time.Second
	sendTry  = 2 * time.Minute
)

// api is the gateway as its callers see it.
type api struct {
	url  string
	http *http.Client
	key  string // "" while there is none
}

// do makes one request that may take as long as bound.
func (a api) do(ctx context.Context, bound time.Duration, method, path string, body []byte, headers map[string]string) (status int, answer []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, a.url+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	if a.key != "" {
		r.Header.Set("Authorization", "Bearer "+a.key)
	}
	for name, value := range headers {
		r.Header.Set(name, value)
	}
	resp, err := a.http.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(resp.Body)
	return resp.StatusCode, answer, err
}

// awaitReady returns once the gateway reaches storage and ACS.
func (a api) awaitReady(ctx context.Context, c config, out io.Writer) error {
	reason, err := until(ctx, patience, newTeller(out, "the gateway"), func(ctx context.Context) (string, error) {
		status, body, err := a.do(ctx, readyTry, http.MethodGet, "/readyz", nil, nil)
		switch {
		case err != nil:
			return "it does not answer yet", nil //nolint:nilerr // it is asked again
		case status != http.StatusOK:
			return notReady(status, body), nil
		}
		return "", nil
	})
	switch {
	case err != nil || reason == "":
		return err
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return fmt.Errorf("the gateway is not ready after %s: %s. Look into %s", patience, reason, short(c.path("log")))
}

// notReady says which of the gateway's checks fail.
func notReady(status int, body []byte) string {
	var ready struct{ Checks map[string]string }
	if json.Unmarshal(body, &ready) != nil || len(ready.Checks) == 0 {
		return fmt.Sprintf("it answers %d", status)
	}
	maps.DeleteFunc(ready.Checks, func(_, word string) bool { return word == "ok" })
	return "it does not reach " + strings.Join(slices.Sorted(maps.Keys(ready.Checks)), ", ")
}

// operator runs a command of the handler, and returns what it prints.
type operator func(ctx context.Context, args ...string) (string, error)

// ensureCaller returns the secrets of an earlier run while they hold, else those
// of a caller made anew. Storage that is slow is asked again.
func (a api) ensureCaller(ctx context.Context, c config, operate operator, out io.Writer) (s secrets, err error) {
	reason, err := until(ctx, patience, newTeller(out, "the key of the caller "+callerName), func(ctx context.Context) (reason string, err error) {
		s, reason, err = a.tryCaller(ctx, c, operate)
		return reason, err
	})
	if err == nil && reason != "" {
		err = fmt.Errorf("the caller %s cannot be made: %s", callerName, reason)
	}
	return s, err
}

// tryCaller is one try; a reason says why another is needed.
func (a api) tryCaller(ctx context.Context, c config, operate operator) (s secrets, reason string, err error) {
	if s, ok := readSecrets(c); ok {
		a.key = s.key
		status, _, err := a.do(ctx, readyTry, http.MethodGet, "/emails/operations/00000000-0000-4000-8000-000000000000", nil, nil)
		switch {
		case err != nil:
			return s, "the gateway does not answer", nil //nolint:nilerr // it is asked again
		case status >= http.StatusInternalServerError:
			return s, fmt.Sprintf("the gateway answers %d", status), nil
		case status != http.StatusUnauthorized:
			return s, "", nil
		}
	}
	said, err := operate(ctx, "callers", "add", callerName, "--sender", callerSender, "--recipient-domain", "*", "--hmac", "--entra-app", localApp)
	if err != nil { // it may be there, and its key be lost
		var again error
		if said, again = operate(ctx, "callers", "rotate", callerName); again != nil {
			return s, errors.Join(err, again).Error(), nil
		}
	}
	s.key, s.connection, _ = strings.Cut(strings.TrimSpace(said), "\n")
	return s, "", writeSecrets(c, s)
}
