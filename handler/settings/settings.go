// Package settings turns the environment into one value.
//
// In: a lookup of variables. Out: Settings, or one error that names every
// variable that is missing or wrong. It opens no file and no connection: wiring
// does. docs/settings.md is generated from the tags below.
package settings

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"reflect"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"
	"github.com/go-playground/validator/v10"
)

// Settings are all that a deployment can set. Sizes are bytes.
type Settings struct {
	// Port is where the Functions host expects the handler, on 127.0.0.1.
	Port int `env:"FUNCTIONS_CUSTOMHANDLER_PORT" envDefault:"7071" validate:"min=1,max=65535" doc:"Port to listen on, at 127.0.0.1. The Functions host sets it."`

	PublicURL       string `env:"POSTHORN_PUBLIC_URL" validate:"omitempty,http_url" doc:"Address under which callers and recipients reach the gateway. Default: https:// and WEBSITE_HOSTNAME, which Azure sets."`
	WebsiteHostname string `env:"WEBSITE_HOSTNAME" validate:"omitempty,hostname_port|hostname_rfc1123" doc:"Set by Azure; used when POSTHORN_PUBLIC_URL is not."`
	Production      bool   `env:"POSTHORN_PRODUCTION" envDefault:"false" doc:"Whether a caller without a list of recipient domains may send to every domain."`
	MasterKey       string `env:"POSTHORN_MASTER_KEY" validate:"required_without=MasterKeyFile,omitempty,len=64,hexadecimal" doc:"256 random bits in hex. The keys of all callers and hooks derive from them. In Azure a Key Vault reference."`
	MasterKeyFile   string `env:"POSTHORN_MASTER_KEY_FILE" doc:"File with the master key, instead of POSTHORN_MASTER_KEY."`
	OldMasterKey    string `env:"POSTHORN_MASTER_KEY_OLD" validate:"omitempty,len=64,hexadecimal" doc:"The master key before the current one, while callers change their keys."`

	EntraTenant    string   `env:"POSTHORN_ENTRA_TENANT" validate:"required_with=EntraAudience,omitempty,uuid" doc:"Id of the Entra ID tenant whose tokens prove callers. Without it every token is refused."`
	EntraAudience  []string `env:"POSTHORN_ENTRA_AUDIENCE" validate:"required_with=EntraTenant,dive,required" doc:"Accepted audiences of tokens, separated by commas: the application id URI (api://...) of the gateway's own app registration, and its application id."`
	EntraAuthority string   `env:"POSTHORN_ENTRA_AUTHORITY" envDefault:"https://login.microsoftonline.com" validate:"http_url" doc:"Issuer of the tokens. Other clouds and tests have other issuers."`

	BlobEndpoint    string `env:"POSTHORN_BLOB_ENDPOINT" validate:"required,url,startswith=https://" doc:"Blob service, such as https://ACCOUNT.blob.core.windows.net. The account must be the first part of the host name."`
	TableEndpoint   string `env:"POSTHORN_TABLE_ENDPOINT" validate:"required,url,startswith=https://" doc:"Table service, such as https://ACCOUNT.table.core.windows.net."`
	QueueEndpoint   string `env:"POSTHORN_QUEUE_ENDPOINT" validate:"required,url,startswith=https://" doc:"Queue service, such as https://ACCOUNT.queue.core.windows.net."`
	StorageCAFile   string `env:"POSTHORN_STORAGE_CA_FILE" doc:"PEM file of a certificate authority to trust for storage, beside the system's."`
	StorageChecksum string `env:"POSTHORN_STORAGE_CHECKSUM" envDefault:"crc64" validate:"oneof=crc64 md5" doc:"Checksum of uploaded blocks: crc64, which Azure prefers, or md5, which is faster with Azurite."`
	DownloadOrigin  string `env:"POSTHORN_DOWNLOAD_ORIGIN" validate:"omitempty,http_url" doc:"Scheme and host under which recipients reach the Blob service: a custom domain or a Front Door. Default: its own."`
	Credential      string `env:"POSTHORN_CREDENTIAL" envDefault:"managed-identity" validate:"oneof=managed-identity workload-identity azure-cli environment default" doc:"How to prove this deployment's identity to Azure: managed-identity, workload-identity, azure-cli or environment. For the operator's program also default: the first login that is found."`
	ClientID        string `env:"AZURE_CLIENT_ID" doc:"Client id of a user-assigned managed identity."`

	ACSEndpoint        string `env:"POSTHORN_ACS_ENDPOINT" validate:"required,http_url" doc:"The Communication Services resource, such as https://NAME.REGION.communication.azure.com."`
	ACSAccessKey       string `env:"POSTHORN_ACS_ACCESS_KEY" validate:"omitempty,base64" doc:"Access key, for emulators only. In Azure leave it out: the identity is used."`
	ACSScope           string `env:"POSTHORN_ACS_SCOPE" validate:"omitempty,url" doc:"Token scope for clouds other than the public one."`
	ACSAPIVersion      string `env:"POSTHORN_ACS_API_VERSION" envDefault:"2025-09-01" validate:"oneof=2025-09-01 2025-01-15-preview" doc:"API version of ACS. With 2025-01-15-preview messages may have senderDisplayName. ACS may not allow the preview for every resource: try it first."`
	ACSMaxRequestBytes int64  `env:"POSTHORN_ACS_MAX_REQUEST_BYTES" envDefault:"10485760" validate:"min=65536,max=104857600" doc:"Largest request that ACS takes, after Base64. Raise it when Microsoft has raised it for the subscription."`
	ACSConnections     int    `env:"POSTHORN_ACS_CONNECTIONS" envDefault:"32" validate:"min=1,max=250" doc:"Connections of one instance to ACS. An eighth of them is for status requests. ACS allows 250 for a subscription."`

	Quota          string `env:"POSTHORN_QUOTA" envDefault:"custom-domain" validate:"oneof=custom-domain managed-domain custom" doc:"Sending limits of your own domains: custom-domain (30 a minute, 100 an hour), or custom with the two settings below. The Azure-managed domain always has 5 and 10. Set managed-domain while no other domain is linked: it lowers the status requests, too."`
	QuotaPerMinute int    `env:"POSTHORN_QUOTA_PER_MINUTE" validate:"required_if=Quota custom,min=0,max=200000" doc:"Messages a minute, with POSTHORN_QUOTA=custom."`
	QuotaPerHour   int    `env:"POSTHORN_QUOTA_PER_HOUR" validate:"required_if=Quota custom,min=0,max=5000000" doc:"Messages an hour, with POSTHORN_QUOTA=custom."`
	// QuotaReservedForHigh is a percentage.
	QuotaReservedForHigh int    `env:"POSTHORN_QUOTA_RESERVED_FOR_HIGH" envDefault:"0" validate:"min=0,max=90" doc:"Percent of the limits that only messages of high priority may use. An unused reserve is lost."`
	QuotaCost            string `env:"POSTHORN_QUOTA_COST" envDefault:"message" validate:"oneof=message recipients" doc:"What one call costs: 1 (message) or its number of recipients (recipients). ACS does not document which."`

	MaxRefusedPercent int `env:"POSTHORN_MAX_REFUSED_PERCENT" envDefault:"5" validate:"min=0,max=100" doc:"Percent of a caller's or hook's messages of a day that ACS may refuse or drop. Beyond it, from twenty such messages on, Posthorn pauses the caller or hook. 0: never. Microsoft blocks subscriptions beyond 1 or 2 percent."`

	HistoryDays int `env:"POSTHORN_HISTORY_DAYS" envDefault:"30" validate:"min=1,max=365" doc:"Days for which Posthorn knows what became of a message, and knows a repeat. They begin when its record last changes. For a queued message they begin at its deadline."`

	HostMaxRequestBytes int64 `env:"POSTHORN_HOST_MAX_REQUEST_BYTES" envDefault:"44040192" validate:"min=65536" doc:"Largest request body that the Functions host takes: the value of the host's own FUNCTIONS_REQUEST_BODY_SIZE_LIMIT. The host answers a larger body with an empty 500."`

	MaxRequestBytes int64         `env:"POSTHORN_MAX_REQUEST_BYTES" envDefault:"42991616" validate:"min=65536,max=104857600" doc:"Largest request body. POSTHORN_HOST_MAX_REQUEST_BYTES must not be smaller."`
	MemoryMB        int           `env:"POSTHORN_MEMORY_MB" envDefault:"320" validate:"min=128,max=65536" doc:"Memory of the process, in MiB: the memory of an instance, less the host's part. A large request that does not fit gets 503."`
	MaxUploadBytes  int64         `env:"POSTHORN_MAX_UPLOAD_BYTES" envDefault:"5368709120" validate:"min=1048576" doc:"Largest file that may be uploaded beside a message."`
	RequestTimeout  time.Duration `env:"POSTHORN_REQUEST_TIMEOUT" envDefault:"100s" validate:"min=5s,max=120s" doc:"Longest time for a request to arrive and be stored. Sending may take 95 s more. The load balancer gives up after 230 s."`
	Language        string        `env:"POSTHORN_LANGUAGE" envDefault:"en" validate:"bcp47_language_tag" doc:"Language of texts that Posthorn adds to a message without a language."`

	LogLevel          slog.Level `env:"POSTHORN_LOG_LEVEL" envDefault:"info" doc:"debug, info, warn or error."`
	OTLPEndpoint      string     `env:"OTEL_EXPORTER_OTLP_ENDPOINT" validate:"omitempty,url" doc:"Where to send spans and metrics by OTLP over HTTP."`
	AzureMonitor      string     `env:"POSTHORN_AZURE_MONITOR_CONNECTION_STRING" doc:"Where to send spans and metrics in Azure Monitor's form: the connection string of an Application Insights resource."`
	AzureMonitorToken bool       `env:"POSTHORN_AZURE_MONITOR_IDENTITY" envDefault:"false" doc:"Whether Azure Monitor gets a token of this deployment's identity. Needed for a resource without local authentication."`
	TracesSampler     string     `env:"OTEL_TRACES_SAMPLER" doc:"Sampler of spans, as OpenTelemetry defines it. Without it every span is kept."`
	OTelServiceName   string     `env:"OTEL_SERVICE_NAME" envDefault:"posthorn" doc:"Name of this deployment in telemetry."`
	WebsiteSiteName   string     `env:"WEBSITE_SITE_NAME" doc:"Set by Azure; kept in telemetry."`
	WebsiteInstanceID string     `env:"WEBSITE_INSTANCE_ID" doc:"Set by Azure; kept in telemetry."`
}

// Load reads settings from environ, a list of NAME=value as os.Environ gives.
// The error lists every fault by the name of its variable, and no value: one of
// them may be a secret.
func Load(environ []string) (Settings, error) {
	var s Settings
	err := env.ParseWithOptions(&s, env.Options{Environment: env.ToMap(environ)})
	faults, unread := parseFaults(err)
	faults = append(faults, ruleFaults(s, unread)...)
	if s.PublicURL == "" && s.WebsiteHostname != "" {
		s.PublicURL = "https://" + s.WebsiteHostname
	}
	if s.PublicURL == "" {
		faults = append(faults, errors.New("POSTHORN_PUBLIC_URL: is missing: say under which address the gateway is reached"))
	}
	s.PublicURL = strings.TrimSuffix(s.PublicURL, "/")
	if s.Quota == "custom" && s.QuotaPerHour < s.QuotaPerMinute {
		faults = append(faults, errors.New("POSTHORN_QUOTA_PER_HOUR: must not be smaller than POSTHORN_QUOTA_PER_MINUTE"))
	}
	if s.MaxRequestBytes > s.HostMaxRequestBytes && !unread["POSTHORN_MAX_REQUEST_BYTES"] && !unread["POSTHORN_HOST_MAX_REQUEST_BYTES"] {
		faults = append(faults, errors.New("POSTHORN_MAX_REQUEST_BYTES: must not be larger than POSTHORN_HOST_MAX_REQUEST_BYTES"))
	}
	if u, err := url.Parse(s.EntraAuthority); err == nil && u.Scheme != "https" && !net.ParseIP(u.Hostname()).IsLoopback() {
		faults = append(faults, errors.New("POSTHORN_ENTRA_AUTHORITY: must start with https://, but on this machine"))
	}
	if len(faults) > 0 {
		return Settings{}, fmt.Errorf("settings: %w", errors.Join(faults...))
	}
	return s, nil
}

// Public is PublicURL taken apart. Load has checked that it is a URL.
func (s Settings) Public() *url.URL {
	u, _ := url.Parse(s.PublicURL)
	return u
}

// parseFaults turns a value of the wrong type into a sentence without the value,
// and names the variables that hold one.
func parseFaults(err error) (faults []error, unread map[string]bool) {
	aggregate, ok := errors.AsType[env.AggregateError](err)
	if !ok {
		return nil, nil
	}
	names := variables()
	unread = map[string]bool{}
	for _, e := range aggregate.Errors {
		if p, ok := errors.AsType[env.ParseError](e); ok {
			unread[names[p.Name]] = true
			faults = append(faults, fmt.Errorf("%s: cannot be read as %s", names[p.Name], p.Type))
		}
	}
	return faults, unread
}

// ruleFaults are the rules that s breaks, but for the variables whose values
// were not read.
func ruleFaults(s Settings, unread map[string]bool) []error {
	v := validator.New()
	v.RegisterTagNameFunc(func(f reflect.StructField) string {
		name, _, _ := strings.Cut(f.Tag.Get("env"), ",")
		return name
	})
	failed, _ := errors.AsType[validator.ValidationErrors](v.Struct(s))
	var faults []error
	for _, f := range failed {
		if !unread[f.Field()] {
			faults = append(faults, fmt.Errorf("%s: %s", f.Field(), sentence(f)))
		}
	}
	return faults
}

func sentence(f validator.FieldError) string {
	switch f.Tag() {
	case "required", "required_if", "required_with":
		return "is missing"
	case "required_without":
		return "is missing: set it, or POSTHORN_MASTER_KEY_FILE"
	case "oneof":
		return "must be one of " + strings.ReplaceAll(f.Param(), " ", ", ")
	case "min":
		return "must be at least " + f.Param()
	case "max":
		return "must be at most " + f.Param()
	case "startswith":
		return "must start with " + f.Param()
	case "len":
		return "must be " + f.Param() + " characters long"
	default:
		return "is not a valid " + f.Tag()
	}
}

func variables() map[string]string {
	names := map[string]string{}
	for _, row := range Table() {
		names[row.Field] = row.Variable
	}
	return names
}

// Row describes one setting.
type Row struct{ Field, Variable, Default, Doc string }

// Table lists all settings in order, for the documentation and for tests that
// hold templates and samples against the code.
func Table() []Row {
	t := reflect.TypeFor[Settings]()
	rows := make([]Row, 0, t.NumField())
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("env"), ",")
		rows = append(rows, Row{f.Name, name, f.Tag.Get("envDefault"), f.Tag.Get("doc")})
	}
	return rows
}
