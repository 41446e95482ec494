package entra

import (
	"context"
	"crypto"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/posthorn/posthorn/handler/problem"
)

const (
	// KeyLife is how long keys are believed while the issuer can be asked.
	// Source: learn.microsoft.com, "Signing key rollover in the Microsoft identity
	// platform": check at least every 24 hours.
	KeyLife = 12 * time.Hour
	// AskEvery bounds how often tokens with unknown keys make us ask.
	AskEvery = time.Minute
	// RetryEvery is the same while there is not one key.
	RetryEvery = 5 * time.Second

	fetchTimeout  = 4 * time.Second
	maxKeySetSize = 1 << 20 // bytes; Entra ID's have 20 kB
)

// keys are the keys of the issuer. The keys that were read last stay good while the
// issuer cannot be reached.
type keys struct {
	url    string
	client *http.Client
	now    func() time.Time
	log    *slog.Logger

	mu     sync.Mutex
	byID   map[string]crypto.PublicKey
	read   time.Time // when byID was
	asked  time.Time
	err    error         // of the last question
	asking chan struct{} // closed at the end of the one under way; nil without one
}

func newKeys(url string, client *http.Client, now func() time.Time, log *slog.Logger) *keys {
	return &keys{url: url, client: client, now: now, log: log}
}

// find returns the key of an id. It asks the issuer if the key is not known, or
// is known for too long. All who wait share one question; who has a key does not
// wait for an issuer that has just failed.
func (k *keys) find(ctx context.Context, id string) ([]crypto.PublicKey, error) {
	k.mu.Lock()
	key, ok := k.byID[id]
	due := !ok || k.now().Sub(k.read) >= KeyLife
	if due && k.asking == nil && !k.mustWait() {
		k.ask(ctx)
	}
	asking, failed := k.asking, k.err != nil
	k.mu.Unlock()
	if ok && (!due || failed) {
		return []crypto.PublicKey{key}, nil
	}
	if asking != nil {
		select {
		case <-asking:
		case <-ctx.Done():
			return nil, unreachable(ctx.Err())
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if key, ok = k.byID[id]; ok {
		return []crypto.PublicKey{key}, nil
	}
	if k.err != nil {
		return nil, unreachable(k.err)
	}
	return nil, refuse("its issuer lists no key of that id (kid).")
}

// mustWait says that the issuer was asked too recently. k.mu is held, here and in ask.
func (k *keys) mustWait() bool {
	pause := AskEvery
	if k.byID == nil {
		pause = RetryEvery
	}
	return !k.asked.IsZero() && k.now().Sub(k.asked) < pause
}

// ask reads the issuer's keys, for all who wait: the one who asks going away
// stops nothing.
func (k *keys) ask(ctx context.Context) {
	at, done := k.now(), make(chan struct{})
	k.asking = done
	go func() {
		defer close(done)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
		defer cancel()
		byID, err := k.fetch(ctx)
		if err != nil {
			k.log.WarnContext(ctx, "keys of Entra ID could not be read, will retry", "error", err)
		}
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.asked, k.err, k.asking = at, err, nil; err == nil {
			k.byID, k.read = byID, at
		}
	}()
}

func (k *keys) fetch(ctx context.Context) (map[string]crypto.PublicKey, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, k.url, http.NoBody)
	if err != nil {
		return nil, err
	}
	res, err := k.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered %s", k.url, res.Status)
	}
	var set jose.JSONWebKeySet
	if err := json.NewDecoder(io.LimitReader(res.Body, maxKeySetSize)).Decode(&set); err != nil {
		return nil, fmt.Errorf("decode keys: %w", err)
	}
	byID := map[string]crypto.PublicKey{}
	for _, key := range set.Keys {
		if public, ok := key.Key.(*rsa.PublicKey); ok && key.Valid() && key.KeyID != "" && (key.Use == "" || key.Use == "sig") {
			byID[key.KeyID] = public
		}
	}
	if len(byID) == 0 {
		return nil, errors.New("the issuer lists no key to verify with")
	}
	return byID, nil
}

func unreachable(err error) error {
	return problem.Wrap(problem.Unavailable, "The keys of Entra ID cannot be read, so the token can be neither accepted nor refused. Nothing was sent. Try again shortly.", err)
}
