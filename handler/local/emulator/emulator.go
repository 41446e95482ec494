// Package emulator stands in for Azure Communication Services (ACS) Email on one
// computer or in a test: in come the calls of the published API, api-versions
// 2023-03-31, 2025-09-01 and 2025-01-15-preview, out come ACS's answers, and each accepted message
// goes to Config.Deliver. It enforces the limits of a subscription, checks
// signatures in full, reports deliveries to a webhook as Event Grid does, and
// fails on purpose: by the recipient's address or by a call to /api/faults.
//
// It sends no mail, keeps nothing across restarts and shows nothing: local/inbox
// does the showing. It knows nothing of Posthorn and can be used by itself.
//
// Sources: specification/communication/data-plane/Email in
// Azure/azure-rest-api-specs; articles/event-grid/communication-services-email-events
// in MicrosoftDocs/azure-docs; where ACS documents nothing, the wording is that
// seen in its real answers. README.md lists what is known and what is assumed.
package emulator

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/posthorn/posthorn/handler/linger"
	"github.com/posthorn/posthorn/handler/mail"
)

// DevelopmentKey is an access key for everybody's local use. It is no secret.
const DevelopmentKey = "cG9zdGhvcm4tZW11bGF0b3ItZGV2ZWxvcG1lbnQta2V5LW5vdC1hLXNlY3JldA=="

const (
	// DefaultDelay is how long an operation stays Running: recorded answers of ACS
	// have 1.5 to 9 s.
	DefaultDelay = 3 * time.Second
	// DefaultReportAfter is shorter than Azure's two to ten minutes.
	DefaultReportAfter = 2 * time.Second
	// DefaultSlowness is how long the fault "slow" holds an answer back.
	DefaultSlowness = 10 * time.Second
)

// Config says how the emulator behaves. The zero value works: it accepts
// DevelopmentKey and bearer tokens, and has no limits.
type Config struct {
	// Keys are the access keys, Base64, that HMAC signatures may be made with.
	// None means DevelopmentKey.
	Keys []string
	// BearerOnly refuses HMAC, as ACS does with disableLocalAuth.
	BearerOnly bool
	// SenderDomains are the linked domains; none means any.
	SenderDomains []string
	// Limits of the subscription; zero means none.
	Limits Limits
	// Window says how the limits are counted; zero means WindowSliding.
	Window Window
	// CountRefused lets calls answered 429 count against the limits too.
	CountRefused bool
	// Repeat says what a known Operation-Id meets; zero means RepeatDedup.
	Repeat Repeat
	// MaxRequestBytes of a send call; 0 means mail.MaxACSRequestBytes.
	MaxRequestBytes int64
	// Delay is how long an operation stays Running; 0 means DefaultDelay.
	Delay time.Duration
	// VisibleAfter is how long an accepted operation answers 404.
	VisibleAfter time.Duration
	// Slowness is what the fault "slow" adds; 0 means DefaultSlowness.
	Slowness time.Duration
	// ReportAfter is how long after the attempt its delivery event comes; 0 means
	// DefaultReportAfter.
	ReportAfter time.Duration
	// WebhookURL takes delivery events; empty means none are sent.
	WebhookURL string
	// Deliver takes each message that goes out, once: its operation's id, when
	// it came, and the request's body, which is the receiver's to keep. An
	// error refuses the call with 500. Nil drops the messages.
	Deliver func(operationID string, at time.Time, request []byte) error
	// Now is the clock for limits, signatures and operation states; nil means
	// time.Now. Held-back answers and events use timers.
	Now func() time.Time
	// Chance returns a number in [0,1) for faults with a probability; nil means
	// a random one.
	Chance func() float64
	// Logger gets one line a call; nil means none.
	Logger *slog.Logger
}

// Emulator is an http.Handler. It may be used by many goroutines.
type Emulator struct {
	cfg    Config
	keys   [][]byte
	mux    *http.ServeMux
	answer http.Handler
	log    *slog.Logger
	send   *limiter
	status *limiter
	ops    *operations
	calls  *arrivals
	faults *injections
	hook   *webhook

	closing context.Context //nolint:containedctx // the emulator's own life, not a call's
	close   context.CancelFunc
	work    sync.WaitGroup
}

// New makes an Emulator. An error names the member of cfg that cannot be used.
func New(cfg Config) (*Emulator, error) {
	cfg.Delay = cmp.Or(cfg.Delay, DefaultDelay)
	cfg.ReportAfter = cmp.Or(cfg.ReportAfter, DefaultReportAfter)
	cfg.Slowness = cmp.Or(cfg.Slowness, DefaultSlowness)
	cfg.MaxRequestBytes = cmp.Or(cfg.MaxRequestBytes, mail.MaxACSRequestBytes)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Chance == nil {
		cfg.Chance = chance
	}
	if cfg.Deliver == nil {
		cfg.Deliver = func(string, time.Time, []byte) error { return nil }
	}
	if len(cfg.Keys) == 0 {
		cfg.Keys = []string{DevelopmentKey}
	}
	e := &Emulator{
		cfg:    cfg,
		log:    cfg.Logger,
		send:   &limiter{limit: cfg.Limits.Send, window: cfg.Window, countRefused: cfg.CountRefused},
		status: &limiter{limit: cfg.Limits.Status, window: cfg.Window, countRefused: cfg.CountRefused},
		ops:    &operations{byID: map[string]*operation{}, messageIDs: map[string]bool{}, repeat: cfg.Repeat},
		calls:  &arrivals{},
		faults: &injections{chance: cfg.Chance},
		hook:   newWebhook(cfg.WebhookURL),
	}
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	for i, k := range cfg.Keys {
		key, err := base64.StdEncoding.DecodeString(k)
		if err != nil || len(key) == 0 {
			return nil, fmt.Errorf("access key %d is not Base64", i+1)
		}
		e.keys = append(e.keys, key)
	}
	e.closing, e.close = context.WithCancel(context.Background())
	e.mux = e.routes()
	e.answer = linger.Handler(http.HandlerFunc(e.serve), linger.Limits{Bytes: 10 * e.cfg.MaxRequestBytes, Time: time.Minute, Number: 100})
	return e, nil
}

// Close lets go of calls that are being held back, drops delivery events that
// were not sent yet, and waits for both.
func (e *Emulator) Close() {
	e.close()
	e.work.Wait()
}

func (e *Emulator) routes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /emails:send", e.handleSend)
	mux.HandleFunc("GET /emails/operations/{id}", e.handleStatus)

	admin := http.NewCrossOriginProtection()
	own := func(pattern string, h http.HandlerFunc) { mux.Handle(pattern, admin.Handler(h)) }
	own("GET /api/arrivals", e.handleArrivals)
	own("DELETE /api/arrivals", e.handleForgetArrivals)
	own("GET /api/faults", e.handleFaults)
	own("POST /api/faults", e.handleAddFault)
	own("DELETE /api/faults", e.handleClearFaults)

	mux.HandleFunc("GET /{$}", handleHome)
	return mux
}

// ServeHTTP answers one call.
func (e *Emulator) ServeHTTP(w http.ResponseWriter, r *http.Request) { e.answer.ServeHTTP(w, r) }

func (e *Emulator) serve(w http.ResponseWriter, r *http.Request) {
	// An endpoint with a trailing slash makes //emails:send. ACS finds the
	// signature wrong; a redirect, ServeMux's answer, would hide the mistake.
	if strings.HasPrefix(r.URL.Path, "//") {
		denied().write(w)
		return
	}
	seen := &statusWriter{ResponseWriter: w}
	defer e.logCall(r, seen)
	e.mux.ServeHTTP(seen, r)
}

func (e *Emulator) logCall(r *http.Request, seen *statusWriter) {
	e.log.LogAttrs(r.Context(), slog.LevelInfo, "call", slog.String("method", r.Method),
		slog.String("route", r.Pattern), slog.Int("status", seen.status))
}

// statusWriter remembers the status for the log; 0 means no answer was given.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (s *statusWriter) WriteHeader(status int) {
	s.status = status
	s.ResponseWriter.WriteHeader(status)
}

// held returns a context that ends with ctx or when the emulator is closed.
func (e *Emulator) held(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(e.closing, cancel)
	return ctx, func() { stop(); cancel() }
}

func handleHome(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = fmt.Fprint(w, "An emulator of Azure Communication Services Email.\n\n"+
		"POST /emails:send?api-version=2025-09-01\nGET  /emails/operations/{id}?api-version=2025-09-01\n\n"+
		"GET, DELETE       /api/arrivals\nGET, POST, DELETE /api/faults\n")
}

func chance() float64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand, since Go 1.24
	return float64(binary.BigEndian.Uint64(b[:])>>11) / (1 << 53)
}
