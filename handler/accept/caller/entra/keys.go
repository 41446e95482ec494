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

// keys are those of the issuer. Those that were read last stay good while the
// issuer cannot be reached.
type keys struct {
	url    string
	client *http.Client
	now    func() time.Time
	log    *slog.Logger
	turn   chan struct{} // holds one: whoever has it may ask

	mu    sync.Mutex
	byID  map[string]crypto.PublicKey
	read  time.Time // when byID was
	asked time.Time
	err   error // of the last question
}

func newKeys(url string, client *http.Client, now func() time.Time, log *slog.Logger) *keys {
	k := &keys{url: url, client: client, now: now, log: log, turn: make(chan struct{}, 1)}
	k.turn <- struct{}{}
	return k
}

// find returns the key of an id. It asks the issuer if the key is not known, or
// is known for too long.
func (k *keys) find(ctx context.Context, id string) ([]crypto.PublicKey, error) {
	key, due, wait := k.known(id)
	if key != nil && !due {
		return key, nil
	}
	if !wait {
		select {
		case <-k.turn:
		case <-ctx.Done():
			return nil, unreachable(ctx.Err())
		}
		// Somebody else may have asked in the meantime.
		if _, due, wait = k.known(id); due && !wait {
			k.ask(ctx)
		}
		k.turn <- struct{}{}
		key, _, _ = k.known(id)
	}
	if key != nil {
		return key, nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.err != nil {
		return nil, unreachable(k.err)
	}
	return nil, refuse("its issuer lists no key of that id (kid).")
}

// known returns a key that has been read, whether it is due to ask for it, and
// whether to let the issuer in peace until later.
func (k *keys) known(id string) (key []crypto.PublicKey, due, wait bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	found, ok := k.byID[id]
	if ok {
		key = []crypto.PublicKey{found}
	}
	pause := AskEvery
	if k.byID == nil {
		pause = RetryEvery
	}
	now := k.now()
	return key, !ok || now.Sub(k.read) >= KeyLife, !k.asked.IsZero() && now.Sub(k.asked) < pause
}

// ask reads the issuer's keys, for all who wait: the one who asks going away
// stops nothing.
func (k *keys) ask(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
	defer cancel()
	at := k.now()
	byID, err := k.fetch(ctx)
	if err != nil {
		k.log.WarnContext(ctx, "the keys of Entra ID could not be read", "error", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.asked, k.err = at, err
	if err == nil {
		k.byID, k.read = byID, at
	}
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
