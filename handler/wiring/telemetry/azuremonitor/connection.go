package azuremonitor

import (
	"errors"
	"net/url"
	"strings"

	"github.com/google/uuid"
)

const (
	defaultEndpoint = "https://dc.services.visualstudio.com"
	trackPath       = "v2.1/track"
)

// connection is a connection string taken apart.
type connection struct {
	key   string // instrumentation key, a UUID
	track *url.URL
}

func (c connection) encrypted() bool { return c.track.Scheme == "https" }

// parse reads a connection string: pairs of NAME=value between semicolons, names
// in any case. Source:
// https://learn.microsoft.com/azure/azure-monitor/app/connection-strings#schema
func parse(s string) (connection, error) {
	fields := map[string]string{}
	for pair := range strings.SplitSeq(s, ";") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		name, value, ok := strings.Cut(pair, "=")
		if !ok {
			return connection{}, errors.New("has a part that is not NAME=value")
		}
		fields[strings.ToLower(strings.TrimSpace(name))] = strings.TrimSpace(value)
	}
	key := fields["instrumentationkey"]
	if key == "" {
		return connection{}, errors.New("has no InstrumentationKey")
	}
	if len(key) != 36 || uuid.Validate(key) != nil {
		return connection{}, errors.New("has an InstrumentationKey that is not a UUID")
	}
	u, err := url.Parse(endpoint(fields))
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return connection{}, errors.New("has an IngestionEndpoint that is not an http or https URL")
	}
	return connection{key, u.JoinPath(trackPath)}, nil
}

func endpoint(fields map[string]string) string {
	if e := fields["ingestionendpoint"]; e != "" {
		return e
	}
	suffix := fields["endpointsuffix"]
	if suffix == "" {
		return defaultEndpoint
	}
	if location := fields["location"]; location != "" {
		return "https://" + location + ".dc." + suffix
	}
	return "https://dc." + suffix
}
