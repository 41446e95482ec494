// Package sim runs many gateways in one process, over storage in memory with
// Azure's semantics and an ACS with hidden windows, inside a synctest bubble. Its
// tests are those of package gateway.
//
// In: a Config, and a Plan that decides what befalls every call of every
// instance: it is refused, its answer is lost, it stalls, the instance is killed
// before or after it, or frozen. Out: what every caller was told, what arrived at
// ACS, and the list of promises that were broken.
//
// The host is played too: wake-up messages and timers go to instances that
// live. The same seed makes the same choices; the order in which goroutines run
// is the scheduler's.
package sim

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	metricnoop "go.opentelemetry.io/otel/metric/noop"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/posthorn/posthorn/handler/accept/caller"
	"github.com/posthorn/posthorn/handler/accept/check"
	"github.com/posthorn/posthorn/handler/accept/keyring"
	"github.com/posthorn/posthorn/handler/decide/history"
	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/decide/reputation"
	"github.com/posthorn/posthorn/handler/deliver/offload"
	"github.com/posthorn/posthorn/handler/deliver/spool"
	"github.com/posthorn/posthorn/handler/gateway"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/store"
	"github.com/posthorn/posthorn/handler/store/clock"
	"github.com/posthorn/posthorn/handler/store/mem"
)

// Config is what a World is made of. The zero value of what is not named as
// required is a quiet world.
type Config struct {
	Seed      uint64
	Instances int          // required
	Limits    quota.Limits // required; of custom domains
	// Way is how long a call of storage takes to arrive, and its answer, at most.
	Way time.Duration
	// ACSTime is how long ACS takes to answer, at most.
	ACSTime time.Duration
	// ClockError is how far storage's Date, and the clock of an instance, are off.
	ClockError time.Duration
	// MaxCalls is how many calls of an instance are on their way to ACS; 0: 64.
	MaxCalls int
	// Upstream says how ACS counts; it answers 429 when it has counted too many.
	Upstream Upstream
	// Forgetful ACS sends a repeated operation a second time.
	Forgetful bool
	// Quick makes storage and ACS take no time but in the ledger, so that millions
	// of messages can be followed.
	Quick bool
	// RequestTimeout is the gateways'; 0: 100 s.
	RequestTimeout time.Duration
	// Shown is how long ACS does not show an operation that it has taken; 0: 3 s.
	Shown time.Duration
	// Host is how the host behaves.
	Host Host
	// Authority says who may still send what; nil: everybody, and everything.
	Authority gateway.Authority
	// Indexed gives the gateways an index of messages, at the site history. It decides on
	// nothing, so most simulations do without.
	Indexed bool
	// Plan decides on every call; nil lets all pass.
	Plan Plan
	// Log takes what the gateways log; nil drops it.
	Log slog.Handler
}

// World is storage, ACS, and the gateways.
type World struct {
	Config
	ACS *ACS

	records, lines, dead, ledger, links *mem.Table
	files, content                      *mem.Container
	wakeUps                             *mem.Queue
	days, history                       *mem.Series // of records, and of the index

	mu        sync.Mutex
	instances []*Instance
	started   int
	random    *rand.Rand
	ids       atomic.Uint64
	// mostInTable is what new instances let stand in the table of entries.
	mostInTable int
	counts      sync.Map // Site -> *atomic.Int64
	unknown     sync.Map // operation id -> true, once its record has said so
	hot         sync.Map // key of a row of the ledger -> *atomic.Int64, its conditional writes
	callers     callers
	away        atomic.Bool
	struck      time.Time // when something last befell the gateways
	calm        time.Time // when that is mended
	stop        chan struct{}
	playing     sync.WaitGroup
}

// New makes a World, with all its instances alive. Play starts the host.
func New(c Config) (*World, error) {
	w := &World{Config: c, random: rand.New(rand.NewPCG(c.Seed, 1)), stop: make(chan struct{}), mostInTable: spool.SmallBytes} //nolint:gosec // a seed must replay a run
	now := time.Now
	w.records, w.lines, w.dead = mem.NewTable(now, nil), mem.NewTable(now, nil), mem.NewTable(now, nil)
	w.ledger, w.links = mem.NewTable(now, nil), mem.NewTable(now, nil)
	w.files, w.content = mem.NewContainer(now, nil), mem.NewContainer(now, nil)
	w.wakeUps, w.days, w.history = mem.NewQueue(now, nil), mem.NewSeries(now, nil), mem.NewSeries(now, nil)
	w.ACS = newACS(w)
	for range c.Instances {
		if _, err := w.Start(); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// Instance is one process of the gateway.
type Instance struct {
	*gateway.Gateway
	Number int

	w      *World
	killed atomic.Bool
	frozen atomic.Int64 // Unix ns until which it stands still
	skew   time.Duration
	date   time.Duration // error of the Date that it is told
}

// Start adds an instance.
func (w *World) Start() (*Instance, error) {
	w.mu.Lock()
	w.started++
	i := &Instance{w: w, Number: w.started, skew: w.upTo(2*w.ClockError) - w.ClockError, date: w.upTo(2*w.ClockError) - w.ClockError}
	w.mu.Unlock()
	now := func() time.Time { return time.Now().Add(i.skew) }
	public, _ := url.Parse("https://mail.example.com")
	log := slog.New(slog.DiscardHandler)
	if w.Log != nil {
		log = slog.New(w.Log).With("instance", i.Number)
	}
	table := func(name string, t *mem.Table) *table { return &table{i, name, t} }
	files := &container{i, "files", w.files}
	ledger, server := table("ledger", w.ledger), clock.New(now)
	records := record.Tables{
		Lasting: table("records", w.records), Days: days{i, "days", w.days},
		Day: func(date string) record.Table { return table("records", w.days.Table(date)) },
	}
	var index *history.Index
	if w.Indexed {
		index = history.New(history.Tables{
			Days: days{i, "history", w.history},
			Day:  func(date string) history.Table { return table("history", w.history.Table(date)) },
		}, record.DefaultHistory, log)
	}
	request := cmp.Or(w.RequestTimeout, 100*time.Second)
	g, err := gateway.New(gateway.Config{
		Check: check.New(), Records: record.New(records, now, w.newID).Sharing(server).Holding(gateway.OwnerLife(request), gateway.FenceLife(request)),
		History:        index,
		Sends:          gateway.NewSends(ledger, w.Limits, now, w.newID, quota.Options{CallTime: gateway.SendTime(request), Clock: server}),
		StatusRequests: gateway.NewStatusRequests(ledger, w.askLimits(), now, w.newID, server),
		Offload: offload.New(offload.Config{
			Blobs: files, Uploads: files, Links: table("links", w.links), PublicURL: public, DefaultLanguage: "en", Now: now, Rand: w.bytes(),
		}),
		Spool: spool.New(&container{i, "content", w.content}, table("lines", w.lines), table("dead", w.dead), &queue{i, w.wakeUps}).InTable(w.mostInTable),
		ACS:   &line{i}, Authority: cmp.Or[gateway.Authority](w.Authority, &w.callers), Reputation: reputation.New(reputation.Config{}), MaxACSRequestBytes: 100_000, MaxCalls: cmp.Or(w.MaxCalls, 64), RequestTimeout: request,
		Now: now, NewID: w.newID, Log: log,
		Tracer: tracenoop.NewTracerProvider().Tracer(""), Meter: metricnoop.NewMeterProvider().Meter(""),
	})
	if err != nil {
		return nil, err
	}
	i.Gateway = g
	w.mu.Lock()
	defer w.mu.Unlock()
	w.instances = append(w.instances, i)
	return i, nil
}

// limits are those of a kind of domain.
func (w *World) limits(domain mail.DomainKind) quota.Limits {
	if domain == mail.ManagedDomain {
		return quota.ManagedDomainSend
	}
	return w.Limits
}

// askLimits are those of questions.
func (w *World) askLimits() quota.Limits {
	return quota.Limits{PerMinute: 2 * w.Limits.PerMinute, PerHour: 2 * w.Limits.PerHour}
}

// Kill ends an instance as SIGKILL does: from now on it does nothing to anything. Its
// message of the queue may be hidden for long.
func (i *Instance) Kill() {
	i.killed.Store(true)
	i.w.disturb(0)
}

// Freeze lets an instance stand still, and go on later where it was.
func (i *Instance) Freeze(d time.Duration) {
	i.frozen.Store(time.Now().Add(d).UnixNano())
	i.w.disturb(d)
}

// Alive says whether an instance runs and does not stand still.
func (i *Instance) Alive() bool {
	return !i.killed.Load() && time.Now().UnixNano() >= i.frozen.Load()
}

// Any is an instance that lives, nil if none does.
func (w *World) Any() *Instance {
	w.mu.Lock()
	defer w.mu.Unlock()
	first := w.random.IntN(len(w.instances))
	for n := range w.instances {
		if i := w.instances[(first+n)%len(w.instances)]; i.Alive() {
			return i
		}
	}
	return nil
}

// Living is how many instances have not been killed.
func (w *World) Living() (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, i := range w.instances {
		if !i.killed.Load() {
			n++
		}
	}
	return n
}

// Away takes storage away, or brings it back.
func (w *World) Away(away bool) {
	w.away.Store(away)
	w.disturb(0)
}

// UseBlobs makes the content of all messages a blob that are queued from now on, as that of
// large ones is.
func (w *World) UseBlobs() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mostInTable = 0
	for _, i := range w.instances {
		i.Spool.InTable(0)
	}
}

// LoseContent deletes every stored message of the spool, as an operator's mistake would.
func (w *World) LoseContent(ctx context.Context) {
	for _, k := range contents(ctx, w.lines) {
		_ = w.lines.Delete(ctx, k.Partition, k.Row, "") // in memory, and there
	}
	blobs, _, _ := w.content.List(ctx, "", "", 1<<30)
	for _, b := range blobs {
		_ = w.content.Delete(ctx, b.Name) // as above
	}
}

// SpoilContent makes every stored message of the spool unreadable.
func (w *World) SpoilContent(ctx context.Context) {
	spoilt := []byte("no message")
	for _, k := range contents(ctx, w.lines) {
		_, _ = w.lines.Replace(ctx, store.Entity{Partition: k.Partition, Row: k.Row, Values: map[string]any{"part0": spoilt}}) // in memory, and there
	}
	blobs, _, _ := w.content.List(ctx, "", "", 1<<30)
	for _, b := range blobs {
		_ = w.content.Delete(ctx, b.Name) // as above
		_ = w.content.Put(ctx, b.Name, spoilt)
	}
}

// contents are the keys of small messages in a table.
func contents(ctx context.Context, t *mem.Table) (keys []store.Key) {
	rows, _ := t.ListBefore(ctx, store.Key{}, "~", 1<<30)
	for _, e := range rows {
		if strings.HasPrefix(e.Row, "c-") {
			keys = append(keys, store.Key{Partition: e.Partition, Row: e.Row})
		}
	}
	return keys
}

// SpoilHead makes the first row of all lines one that nobody can read.
func (w *World) SpoilHead(ctx context.Context) error {
	rows, err := w.lines.ListBefore(ctx, store.Key{}, "a", 1)
	if err != nil || len(rows) == 0 {
		return fmt.Errorf("there is no row to spoil: %w", err)
	}
	rows[0].Values["entry"] = "{"
	_, err = w.lines.Replace(ctx, rows[0])
	return err
}

// ForgetLedger deletes the row of what was sent and what waits.
func (w *World) ForgetLedger(ctx context.Context) error {
	return w.ledger.Delete(ctx, "send", "ledger", "")
}

// newID is unique in the world, and has the form of a UUID.
func (w *World) newID() string { return fmt.Sprintf("00000000-0000-4000-8000-%012x", w.ids.Add(1)) }

// UpTo is a random time between 0 and d.
func (w *World) UpTo(d time.Duration) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.upTo(d)
}

func (w *World) upTo(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return time.Duration(w.random.Int64N(int64(d) + 1))
}

func (w *World) bytes() *rand.ChaCha8 {
	var seed [32]byte
	seed[0], seed[1] = byte(w.Seed), byte(w.ids.Add(1))
	return rand.NewChaCha8(seed)
}

// Message is the JSON of a small message. more are members beside the usual ones,
// as JSON; empty for none.
func Message(subject, more string) string {
	text := `{"senderAddress":"donotreply@example.com","content":{"subject":"` + subject + `","plainText":"Hello"},"recipients":{"to":[{"address":"ann@example.com"}]}`
	if more != "" {
		text += "," + more
	}
	return text + "}"
}

// FromManaged is a Message from the Azure-managed domain.
func FromManaged(message string) string {
	return strings.Replace(message, "donotreply@example.com", "donotreply@0b5d1e5c.azurecomm.net", 1)
}

// Caller may send from and to everywhere.
func Caller(name string, p caller.Policy) caller.Caller {
	p.Senders, p.RecipientDomains = []string{caller.Any}, []string{caller.Any}
	return caller.Caller{Holder: keyring.Holder{Name: name}, Policy: p}
}

// Send offers a message to an instance as a caller does.
func (i *Instance) Send(ctx context.Context, c caller.Caller, key, body string) (gateway.Answer, error) {
	i.w.callers.seen.Store(c.Name, c)
	return i.Gateway.Send(ctx, gateway.Request{
		Caller: c, Body: strings.NewReader(body), BodyBytes: int64(len(body)), ContentType: "application/json", IdempotencyKey: key,
	})
}

// Instance is the n-th that was started.
func (w *World) Instance(n int) *Instance {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.instances[n]
}

// callers are those who have sent, as they were then.
type callers struct{ seen sync.Map }

// Sender implements gateway.Authority.
func (c *callers) Sender(_ context.Context, name, _ string) (caller.Caller, error) {
	if known, ok := c.seen.Load(name); ok {
		return known.(caller.Caller), nil //nolint:forcetypeassert // Send has stored it
	}
	return Caller(name, caller.Policy{}), nil
}
