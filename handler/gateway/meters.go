package gateway

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/deliver/spool"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
)

// meters are what an operator can see of the gateway, see docs/operate.md.
type meters struct {
	messages   metric.Int64Counter // requests, by what became of them
	deliveries metric.Int64Counter // offers of queued messages to ACS, by what became of them
	since      atomic.Int64        // Unix ms of the oldest queued message; 0: none, or not known
	overdue    overdue
}

func (g *Gateway) measure(m metric.Meter) (err error) {
	if g.messages, err = m.Int64Counter("posthorn.messages",
		metric.WithDescription("Requests to send a message, by outcome.")); err != nil {
		return err
	}
	if g.deliveries, err = m.Int64Counter("posthorn.queue.tries",
		metric.WithDescription("Queued messages offered to ACS, by outcome.")); err != nil {
		return err
	}
	return g.observe(m)
}

// observe lets the ledger be read when metrics are collected. What counts up is
// of this process; what waits is of all, as it was last seen here.
func (g *Gateway) observe(m metric.Meter) error {
	var all []metric.Observable
	var failed error
	counter := func(name, description string) metric.Int64ObservableCounter {
		c, err := m.Int64ObservableCounter(name, metric.WithDescription(description))
		if err != nil && failed == nil {
			failed = err
		}
		all = append(all, c)
		return c
	}
	gauge := func(name, unit, description string) metric.Int64ObservableGauge {
		c, err := m.Int64ObservableGauge(name, metric.WithUnit(unit), metric.WithDescription(description))
		if err != nil && failed == nil {
			failed = err
		}
		all = append(all, c)
		return c
	}
	reserved := counter("posthorn.quota.reserved", "Tokens reserved.")
	refused := counter("posthorn.quota.refused", "Calls refused for want of quota.")
	busy := counter("posthorn.quota.throttled", "Answers 429 of ACS.")
	conflicts := counter("posthorn.quota.conflicts", "Writes of the ledger that lost against another write.")
	operations := counter("posthorn.quota.operations", "Reads and writes of the ledger.")
	waiting := gauge("posthorn.queue.messages", "{message}", "Queued messages.")
	oldest := gauge("posthorn.queue.age", "s", "Time since the oldest queued message was due.")
	drain := gauge("posthorn.queue.drain", "s", "Estimated time until the queue is empty.")
	overdue := gauge("posthorn.cleanup.age", "s", "Time since the oldest row that clean-up found should have gone.")
	if failed != nil {
		return failed
	}
	_, err := m.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		for i, l := range g.Sends {
			domain := mail.DomainKind(i)
			if !g.Sends.used(domain) {
				continue
			}
			s, of := l.Stats(), metric.WithAttributes(attribute.String("domain", domain.String()))
			o.ObserveInt64(reserved, s.Reserved, of)
			o.ObserveInt64(refused, s.Refused, of)
			o.ObserveInt64(busy, s.Backoffs, of)
			o.ObserveInt64(conflicts, s.Conflicts, of)
			o.ObserveInt64(operations, s.Reads+s.Writes, of)
			o.ObserveInt64(waiting, int64(s.Waiting), of)
			o.ObserveInt64(drain, int64(s.Drain.Seconds()), of)
		}
		age := int64(0)
		if since := g.since.Load(); since != 0 {
			age = max(0, g.Now().UnixMilli()-since) / 1000
		}
		o.ObserveInt64(oldest, age)
		for part, age := range g.overdue.seen(g.Now()) {
			o.ObserveInt64(overdue, int64(age.Seconds()), metric.WithAttributes(attribute.String("part", part)))
		}
		return nil
	}, all...)
	return err
}

// oldest notes since when the oldest of the heads of all lines waits.
func (g *Gateway) oldest(heads []spool.Entry) {
	var first time.Time
	for _, s := range heads {
		if !s.Line.Later {
			first = sooner(first, s.Due)
		}
	}
	if first.IsZero() {
		g.since.Store(0)
		return
	}
	g.since.Store(first.UnixMilli())
}

// countDelivery counts what came of the offer of a queued message.
func (g *Gateway) countDelivery(ctx context.Context, o outcome) {
	name := "rejected"
	switch o.result {
	case accepted:
		name = string(record.Accepted)
	case rejected:
		name = string(record.Failed)
	case silent, failing:
		name = string(record.Unknown)
	}
	g.deliveries.Add(ctx, 1, metric.WithAttributes(attribute.String("outcome", name)))
}

// countMessage counts a message by what became of the request for it.
func (g *Gateway) countMessage(ctx context.Context, answer Answer, err error) {
	outcome := "not-read"
	if p, ok := errors.AsType[*problem.Problem](err); ok {
		outcome = p.Kind.Slug()
	} else if err == nil && answer.Record.Sandbox {
		outcome = "sandbox"
	} else if err == nil {
		outcome = string(answer.Record.State)
	}
	g.messages.Add(ctx, 1, metric.WithAttributes(attribute.String("outcome", outcome)))
}

// overdue is how late the oldest row was that each part of the clean-up found. What this
// process saw is told for an hour: then another process may have cleaned up.
type overdue struct {
	mu    sync.Mutex
	parts map[string]lateness
}

type lateness struct {
	age time.Duration
	at  time.Time
}

// noteOverdue notes when the oldest row had its time that a part of the clean-up found; zero
// if it found none.
func (g *Gateway) noteOverdue(part string, oldest time.Time) {
	now, age := g.Now(), time.Duration(0)
	if !oldest.IsZero() {
		age = max(0, now.Sub(oldest))
	}
	g.overdue.mu.Lock()
	defer g.overdue.mu.Unlock()
	if g.overdue.parts == nil {
		g.overdue.parts = map[string]lateness{}
	}
	g.overdue.parts[part] = lateness{age, now}
}

func (o *overdue) seen(now time.Time) map[string]time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	ages := map[string]time.Duration{}
	for part, l := range o.parts {
		if now.Sub(l.at) < time.Hour {
			ages[part] = l.age
		}
	}
	return ages
}
