package bench

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/google/uuid"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/posthorn/posthorn/handler/accept/caller"
	"github.com/posthorn/posthorn/handler/accept/check"
	"github.com/posthorn/posthorn/handler/accept/keyring"
	"github.com/posthorn/posthorn/handler/api/hook"
	"github.com/posthorn/posthorn/handler/api/rest"
	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/decide/reputation"
	"github.com/posthorn/posthorn/handler/deliver/acs"
	"github.com/posthorn/posthorn/handler/deliver/offload"
	"github.com/posthorn/posthorn/handler/deliver/spool"
	"github.com/posthorn/posthorn/handler/gateway"
	"github.com/posthorn/posthorn/handler/local/emulator"
	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/store/clock"
	"github.com/posthorn/posthorn/handler/store/mem"
	"github.com/posthorn/posthorn/handler/wiring"
)

// newEmulator is ACS, with access keys and without limits.
func newEmulator(b *testing.B) *httptest.Server {
	b.Helper()
	e, err := emulator.New(emulator.Config{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(e.Close)
	s := httptest.NewServer(e)
	b.Cleanup(s.Close)
	return s
}

// newGateway is a gateway over storage in memory for both APIs, with the client of ACS
// and the log of the product. The limits are the highest that ACS grants: at lower
// ones nobody sends as fast as a processor can. They leave room for 40,000 messages.
// Each call of a table goes as plan says; nil lets all pass.
func newGateway(b *testing.B, acsURL string, plan mem.Plan) (address, key string) {
	b.Helper()
	table := func() *mem.Table { return mem.NewTable(time.Now, plan) }
	server := httptest.NewUnstartedServer(nil)
	public, err := url.Parse("http://" + server.Listener.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	client, err := acs.NewClientWithKey(acsURL, emulator.DevelopmentKey, nil)
	if err != nil {
		b.Fatal(err)
	}
	log := wiring.NewLog(io.Discard, slog.LevelInfo)
	tracer := tracenoop.NewTracerProvider().Tracer("")
	plenty := quota.Limits{PerMinute: 40_000, PerHour: 2_000_000}
	ledgers, days, storage := table(), mem.NewSeries(time.Now, plan), clock.New(time.Now)
	records := record.Tables{Lasting: table(), Days: days, Day: func(date string) record.Table { return days.Table(date) }}
	callers := caller.NewRegistry(table(), keyring.Masters{make([]byte, 32)}, false, time.Now)
	hooks := hook.NewRegistry(table(), keyring.Masters{make([]byte, 32)}, rand.Reader, time.Now)
	g, err := gateway.New(gateway.Config{
		Check: check.New(), Records: record.New(records, time.Now, uuid.NewString).Sharing(storage),
		Sends:          gateway.NewSends(ledgers, plenty, time.Now, uuid.NewString, quota.Options{Clock: storage}),
		StatusRequests: quota.New(ledgers, "status", plenty, time.Now, uuid.NewString),
		Offload: offload.New(offload.Config{
			Blobs: mem.NewContainer(time.Now, nil), Links: table(), PublicURL: public, Now: time.Now, Rand: rand.Reader,
		}),
		Spool: spool.New(mem.NewContainer(time.Now, nil), table(), table(), mem.NewQueue(time.Now, nil)),
		ACS:   sender{client}, Authority: everybody{}, MaxACSRequestBytes: mail.MaxACSRequestBytes, MaxCalls: acs.DefaultMaxConns, RequestTimeout: 100 * time.Second,
		Reputation: reputation.New(reputation.Config{Table: table(), Callers: callers, Hooks: hooks, Percent: 5, Now: time.Now, Log: log}),
		Now:        time.Now, NewID: uuid.NewString, Log: log, Tracer: tracer, Meter: metricnoop.NewMeterProvider().Meter(""),
	})
	if err != nil {
		b.Fatal(err)
	}
	secrets, err := callers.Add(b.Context(), "shop", caller.Policy{Senders: []string{caller.Any}, RecipientDomains: []string{caller.Any}})
	if err != nil {
		b.Fatal(err)
	}
	server.Config.Handler = rest.New(rest.Config{
		Gateway: g, Callers: callers, Hooks: hooks, Public: public, Language: "en", MaxRequestBytes: mib, RequestTimeout: 100 * time.Second,
		Admission: rest.NewAdmission(rest.Budget{Common: 384 * mib, Reserve: 16 * mib, Unproven: 8 * mib, Forms: 34 * mib}, time.Now), Memory: func(n int64) int64 { return offload.Memory(n, mail.MaxACSRequestBytes) },
		Now: time.Now, NewID: uuid.NewString, Log: log, Tracer: tracer, Propagator: propagation.TraceContext{},
	})
	server.Start()
	b.Cleanup(server.Close)
	return server.URL, secrets.Key
}

// everybody may send.
type everybody struct{}

// Sender implements gateway.Authority.
func (everybody) Sender(_ context.Context, name, _ string) (caller.Caller, error) {
	return caller.Caller{Holder: keyring.Holder{Name: name}, Policy: caller.Policy{Senders: []string{caller.Any}, RecipientDomains: []string{caller.Any}}}, nil
}

// sender gives small messages to the client of ACS, as wiring does.
type sender struct{ client *acs.Client }

func (s sender) Size(m *mail.Message) int64 { return toACS(m, uuid.Nil.String()).Size() }

func (s sender) Send(ctx context.Context, operationID string, m *mail.Message, _ bool) error {
	_, err := s.client.Send(ctx, operationID, toACS(m, operationID))
	return err
}

func (sender) Fate(context.Context, string) (gateway.Fate, error) {
	return gateway.Fate{}, errors.New("the emulator leaves no doubt")
}

func toACS(m *mail.Message, operationID string) *acs.Message {
	headers := map[string]string{"Message-ID": "<" + operationID + "@example.com>", "x-ms-acsemail-validate-message-id": "true"}
	maps.Copy(headers, m.Headers)
	out := &acs.Message{
		SenderAddress: m.SenderAddress, Subject: m.Content.Subject,
		PlainText: m.Content.PlainText, HTML: m.Content.HTML, Headers: headers,
	}
	for _, a := range m.Recipients.To {
		out.To = append(out.To, acs.Address{Address: a.Address, DisplayName: a.DisplayName})
	}
	return out
}
