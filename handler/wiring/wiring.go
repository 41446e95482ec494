// Package wiring builds the program from settings: the one place where concrete
// Azure clients meet the packages that need them. In: settings. Out: an App.
//
// Building makes no request, so that the process answers at once; the first use
// of storage or ACS does.
package wiring

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/service"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azqueue"
	"github.com/google/uuid"

	"github.com/posthorn/posthorn/handler/accept/caller"
	"github.com/posthorn/posthorn/handler/accept/check"
	"github.com/posthorn/posthorn/handler/accept/keyring"
	"github.com/posthorn/posthorn/handler/api/hook"
	"github.com/posthorn/posthorn/handler/api/rest"
	"github.com/posthorn/posthorn/handler/api/trigger"
	"github.com/posthorn/posthorn/handler/decide/quota"
	"github.com/posthorn/posthorn/handler/decide/record"
	"github.com/posthorn/posthorn/handler/decide/reputation"
	"github.com/posthorn/posthorn/handler/deliver/acs"
	"github.com/posthorn/posthorn/handler/deliver/offload"
	"github.com/posthorn/posthorn/handler/deliver/spool"
	"github.com/posthorn/posthorn/handler/gateway"
	"github.com/posthorn/posthorn/handler/linger"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/settings"
	"github.com/posthorn/posthorn/handler/store/blob"
	"github.com/posthorn/posthorn/handler/store/clock"
	"github.com/posthorn/posthorn/handler/store/queue"
	"github.com/posthorn/posthorn/handler/store/table"
	"github.com/posthorn/posthorn/handler/version"
	"github.com/posthorn/posthorn/handler/wiring/telemetry"
)

// Names of what the deployment keeps in storage.
const (
	CallersTable      = "posthorncallers"
	HooksTable        = "posthornhooks"
	RecordsTable      = "posthornrecords" // with a date behind it, one of records that go on that day
	HistoryTables     = "posthornhistory" // with a date behind it: the index of the messages of a day
	LinksTable        = "posthornlinks"
	QueueTable        = "posthornqueue"
	DeadLettersTable  = "posthorndeadletters"
	QuotaTable        = "posthornquota"
	FilesContainer    = "posthorn-files"
	MessagesContainer = "posthorn-messages"
	// DispatchQueue carries wake-up messages. Each names a shard that has work.
	DispatchQueue = "posthorn-dispatch"
)

// Names of the functions that the host alone calls, as in function.json-templates.
const (
	// CleanUpFunction is the timer that removes what has expired.
	CleanUpFunction = "cleanup"
	// DispatchFunction dispatches from the shard that a wake-up message names.
	DispatchFunction = "dispatch"
	// PoisonFunction drops a wake-up message that has failed too often.
	PoisonFunction = "dispatch-poison"
	// WatchdogFunction is the timer that replaces lost wake-up messages.
	WatchdogFunction = "watchdog"
)

// lingering is how many requests that were answered early may be read to their end at the
// same time. An instance gets fewer, and these take less than 8 MB.
const lingering = 256

// App is the program.
type App struct {
	Handler http.Handler                // the HTTP API and the triggers
	Callers *caller.Registry            // for the operator
	Hooks   *hook.Registry              // for the operator
	Offload *offload.Offload            // for the operator
	Gateway *gateway.Gateway            // for the operator
	ACS     *acs.Client                 // for the operator, with the credential of the settings
	Close   func(context.Context) error // sends what telemetry still holds
}

// New builds the program.
func New(s settings.Settings, log *slog.Logger) (*App, error) {
	cred, err := credential(s)
	if err != nil {
		return nil, fmt.Errorf("POSTHORN_CREDENTIAL: %w", err)
	}
	tel, err := telemetry.New(s, cred, log)
	if err != nil {
		return nil, err
	}
	b, err := newBuilder(s, cred, tel)
	if err != nil {
		return nil, err
	}
	callers, err := b.callers(log)
	if err != nil {
		return nil, err
	}
	hooks, err := b.hooks(log)
	if err != nil {
		return nil, err
	}
	files, blobs, err := b.offload()
	if err != nil {
		return nil, err
	}
	client, err := b.acs()
	if err != nil {
		return nil, err
	}
	g, err := b.gateway(files, client, callers, hooks, tel, log)
	if err != nil {
		return nil, err
	}
	public := rest.New(rest.Config{
		Gateway: g, Callers: callers, Hooks: hooks, Public: s.Public(), Language: s.Language, Version: version.String(),
		MaxRequestBytes: s.MaxRequestBytes, RequestTimeout: s.RequestTimeout,
		Admission: rest.NewAdmission(memory(s.MemoryMB), time.Now),
		Memory:    func(bodyBytes int64) int64 { return offload.Memory(bodyBytes, s.ACSMaxRequestBytes) },
		Probes: []rest.Probe{
			{Name: "tables", Check: func(ctx context.Context) error { _, err := callers.All(ctx); return err }},
			{Name: "blobs", Check: func(ctx context.Context) error { _, _, err := blobs.List(ctx, "", "", 1); return err }},
			{Name: "acs", Check: reachable(s.ACSEndpoint)},
		},
		Now: time.Now, NewID: uuid.NewString, Log: log, Tracer: tel.Tracer, Propagator: tel.Propagator,
	})
	patient := linger.Handler(apart(public, functions(g, log), log), linger.Limits{Bytes: s.HostMaxRequestBytes, Time: s.RequestTimeout, Number: lingering})
	return &App{Handler: patient, Callers: callers, Hooks: hooks, Offload: files, Gateway: g, ACS: client, Close: tel.Shutdown}, nil
}

// apart keeps what the host calls by itself from what is public: a trigger is called by its
// exact path alone. A ServeMux would lead other paths to the trigger too.
func apart(public http.Handler, functions map[string]func(context.Context, trigger.Invocation) error, log *slog.Logger) http.Handler {
	triggers := make(map[string]http.Handler, len(functions))
	for name, f := range functions {
		triggers["POST /"+name] = trigger.Handler(name, f, log)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if t, is := triggers[req.Method+" "+req.URL.EscapedPath()]; is {
			t.ServeHTTP(w, req)
			return
		}
		public.ServeHTTP(w, req)
	})
}

// functions are what the host calls by itself.
func functions(g *gateway.Gateway, log *slog.Logger) map[string]func(context.Context, trigger.Invocation) error {
	return map[string]func(context.Context, trigger.Invocation) error{
		CleanUpFunction:  func(ctx context.Context, _ trigger.Invocation) error { return g.CleanUp(ctx) },
		WatchdogFunction: func(ctx context.Context, _ trigger.Invocation) error { return g.Watch(ctx) },
		DispatchFunction: func(ctx context.Context, in trigger.Invocation) error {
			if mark, is := spool.ParseCleanUp(in.Text()); is {
				return g.GoOnCleaningUp(ctx, mark)
			}
			domain, shard, err := spool.ParseWakeUp(in.Text())
			if err != nil {
				return problem.Wrap(problem.InvalidRequest, "A message in the dispatch queue is no wake-up message.", err)
			}
			return g.Dispatch(ctx, domain, shard)
		},
		PoisonFunction: dropWakeUp(log),
	}
}

type builder struct {
	s       settings.Settings
	cred    azcore.TokenCredential
	options azcore.ClientOptions // of storage
	operations
	trace traceContext
	// Requests to tables and queues are small; a request for a file may take its time.
	tables, queues *breaker
	clock          *clock.Clock // the one of tables
}

func newBuilder(s settings.Settings, cred azcore.TokenCredential, tel *telemetry.Telemetry) (*builder, error) {
	trace := traceContext{tel.Propagator}
	options, err := storageOptions(s)
	if err != nil {
		return nil, err
	}
	options.PerCallPolicies = append(options.PerCallPolicies, trace)
	operations, err := newOperations(tel.Meter)
	return &builder{s, cred, options, operations, trace, &breaker{now: time.Now}, &breaker{now: time.Now}, clock.New(time.Now)}, err
}

// storage is for the clients of one service of storage. Each try passes the policies
// more.
func (b *builder) storage(service string, more ...policy.Policy) azcore.ClientOptions {
	o := b.operations.counted(b.options, service)
	o.PerRetryPolicies = append(o.PerRetryPolicies, more...)
	return o
}

func (b *builder) table(name string) (*table.Table, error) {
	return table.Open(b.s.TableEndpoint, name, b.cred, &aztables.ClientOptions{ClientOptions: b.storage("table", b.tables, dates{b.clock})})
}

func (b *builder) queue(name string) (*queue.Queue, error) {
	return queue.Open(b.s.QueueEndpoint, name, b.cred, &azqueue.ClientOptions{ClientOptions: b.storage("queue", b.queues)})
}

func (b *builder) callers(log *slog.Logger) (*caller.Registry, error) {
	t, err := b.table(CallersTable)
	if err != nil {
		return nil, err
	}
	masters, err := masters(b.s)
	if err != nil {
		return nil, err
	}
	r := caller.NewRegistry(t, masters, b.s.Production, time.Now)
	r.NoteUses(log)
	if b.s.EntraTenant != "" {
		r.Trust(tokens(b.s, log))
	}
	return r, nil
}

func (b *builder) hooks(log *slog.Logger) (*hook.Registry, error) {
	t, err := b.table(HooksTable)
	if err != nil {
		return nil, err
	}
	masters, err := masters(b.s)
	if err != nil {
		return nil, err
	}
	r := hook.NewRegistry(t, masters, rand.Reader, time.Now)
	r.NoteUses(log)
	return r, nil
}

func (b *builder) offload() (*offload.Offload, *blob.Container, error) {
	files, err := blob.Open(b.s.BlobEndpoint, FilesContainer, b.cred, time.Now, blob.Options{Client: &service.ClientOptions{ClientOptions: b.storage("blob")}, Checksum: blob.Checksum(b.s.StorageChecksum)})
	if err != nil {
		return nil, nil, err
	}
	links, err := b.table(LinksTable)
	if err != nil {
		return nil, nil, err
	}
	var origin *url.URL
	if b.s.DownloadOrigin != "" {
		if origin, err = url.Parse(b.s.DownloadOrigin); err != nil {
			return nil, nil, errors.New("POSTHORN_DOWNLOAD_ORIGIN: is not a URL")
		}
	}
	return offload.New(offload.Config{
		Blobs: files, Uploads: files, Links: links, PublicURL: b.s.Public(), DownloadOrigin: origin,
		MaxUploadBytes: b.s.MaxUploadBytes, DefaultLanguage: b.s.Language, Now: time.Now, Rand: rand.Reader,
	}), files, nil
}

func (b *builder) acs() (*acs.Client, error) {
	o := &acs.ClientOptions{MaxConns: b.s.ACSConnections, Scope: b.s.ACSScope}
	o.APIVersion = b.s.ACSAPIVersion
	o.Telemetry.ApplicationID = applicationID()
	o.PerCallPolicies = append(o.PerCallPolicies, b.trace)
	if b.s.ACSAccessKey != "" {
		return acs.NewClientWithKey(b.s.ACSEndpoint, b.s.ACSAccessKey, o)
	}
	return acs.NewClient(b.s.ACSEndpoint, b.cred, o)
}

func (b *builder) gateway(files *offload.Offload, client *acs.Client, callers *caller.Registry, hooks *hook.Registry, tel *telemetry.Telemetry, log *slog.Logger) (*gateway.Gateway, error) {
	records, err := b.records()
	if err != nil {
		return nil, err
	}
	index, err := b.index(log)
	if err != nil {
		return nil, err
	}
	ledger, err := b.table(QuotaTable)
	if err != nil {
		return nil, err
	}
	lists, err := b.table(CallersTable)
	if err != nil {
		return nil, err
	}
	kept, err := b.spool()
	if err != nil {
		return nil, err
	}
	sends, statusRequests := limits(b.s)
	checker := check.New()
	checker.SenderNames = b.s.ACSAPIVersion == acs.APIVersion20250115Preview
	return gateway.New(gateway.Config{
		Check: checker,
		Records: record.New(records, time.Now, uuid.NewString).Sharing(b.clock).
			Holding(gateway.OwnerLife(b.s.RequestTimeout), gateway.FenceLife(b.s.RequestTimeout)).
			Keeping(b.history()),
		History: index,
		Sends: gateway.NewSends(ledger, sends, time.Now, uuid.NewString, quota.Options{
			ReservedForHigh: b.s.QuotaReservedForHigh, CallTime: gateway.SendTime(b.s.RequestTimeout), Clock: b.clock,
		}),
		StatusRequests: gateway.NewStatusRequests(ledger, statusRequests, time.Now, uuid.NewString, b.clock),
		Offload:        files, Spool: kept, Authority: authority{callers, hooks}, ACS: newSender(client, log, checker.SenderNames), MaxACSRequestBytes: b.s.ACSMaxRequestBytes,
		Reputation: reputation.New(reputation.Config{
			Table: lists, Callers: callers, Hooks: hooks, Percent: b.s.MaxRefusedPercent, Now: time.Now, Log: log,
		}),
		MaxCalls:       b.s.ACSConnections - b.s.ACSConnections/8, // the rest is for status requests
		CostRecipients: b.s.QuotaCost == "recipients", RequestTimeout: b.s.RequestTimeout,
		Now: time.Now, NewID: uuid.NewString, Log: log, Tracer: tel.Tracer, Meter: tel.Meter,
	})
}

// SendLimits are the limits of sending that POSTHORN_QUOTA and its two figures set.
func SendLimits(s settings.Settings) quota.Limits {
	sends, _ := limits(s)
	return sends
}

// limits are the limits of sending and of status requests. Custom limits of sending
// imply ACS's usual proportion for status requests.
func limits(s settings.Settings) (sends, statusRequests quota.Limits) {
	switch s.Quota {
	case "managed-domain":
		return quota.ManagedDomainSend, quota.ManagedDomainStatus
	case "custom":
		return quota.Limits{PerMinute: s.QuotaPerMinute, PerHour: s.QuotaPerHour},
			quota.Limits{PerMinute: 2 * s.QuotaPerMinute, PerHour: 2 * s.QuotaPerHour}
	default:
		return quota.CustomDomainSend, quota.CustomDomainStatus
	}
}

// masters returns nil without a master key: an operator's command that makes no key
// needs none. The handler's settings always have one.
func masters(s settings.Settings) (keyring.Masters, error) {
	text := s.MasterKey
	if text == "" && s.MasterKeyFile == "" {
		return nil, nil
	}
	if text == "" {
		raw, err := os.ReadFile(s.MasterKeyFile)
		if err != nil {
			return nil, fmt.Errorf("POSTHORN_MASTER_KEY_FILE: %w", err)
		}
		text = strings.TrimSpace(string(raw))
	}
	var all keyring.Masters
	for _, t := range []string{text, s.OldMasterKey} {
		if t == "" {
			continue
		}
		key, err := hex.DecodeString(t)
		if err != nil || len(key) != 32 {
			return nil, errors.New("the master key is not 64 hex digits")
		}
		all = append(all, key)
	}
	return all, nil
}

// reachable asks for any answer at all: ACS has no route that costs nothing, and
// a request without credentials costs nothing.
func reachable(endpoint string) func(context.Context) error {
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodHead, endpoint, nil)
		if err != nil {
			return err
		}
		res, err := client.Do(req)
		if err != nil {
			return err
		}
		return res.Body.Close()
	}
}
