package azuremonitor

import (
	"fmt"
	"time"
	"unicode/utf8"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"
)

// Longest values that the schema takes, in bytes here, which is the safe side of
// its characters.
const (
	maxName          = 1024
	maxResultCode    = 1024
	maxTarget        = 1024
	maxURL           = 2048
	maxData          = 8192
	maxPropertyKey   = 150
	maxPropertyValue = 8192
	maxRole          = 256
)

// envelope is one item of telemetry, TelemetryItem in the ingestion API's
// definition. The sender sets Key.
type envelope struct {
	Ver        int               `json:"ver"`
	Name       string            `json:"name"`
	Time       string            `json:"time"`
	SampleRate float64           `json:"sampleRate"` // percent
	Key        string            `json:"iKey"`
	Tags       map[string]string `json:"tags"`
	Data       payload           `json:"data"`
}

type payload struct {
	BaseType string `json:"baseType"`
	BaseData any    `json:"baseData"`
}

type requestData struct {
	Ver          int               `json:"ver"`
	ID           string            `json:"id"`
	Name         string            `json:"name"`
	Duration     string            `json:"duration"`
	Success      bool              `json:"success"`
	ResponseCode string            `json:"responseCode"`
	URL          string            `json:"url,omitempty"`
	Properties   map[string]string `json:"properties,omitempty"`
}

type dependencyData struct {
	Ver        int               `json:"ver"`
	ID         string            `json:"id"`
	Name       string            `json:"name"`
	Type       string            `json:"type"`
	Target     string            `json:"target,omitempty"`
	Data       string            `json:"data,omitempty"`
	Duration   string            `json:"duration"`
	Success    bool              `json:"success"`
	ResultCode string            `json:"resultCode"`
	Properties map[string]string `json:"properties,omitempty"`
}

type metricData struct {
	Ver        int               `json:"ver"`
	Metrics    [1]metricPoint    `json:"metrics"` // the service takes one
	Properties map[string]string `json:"properties,omitempty"`
}

type metricPoint struct {
	Name  string   `json:"name"`
	Kind  string   `json:"kind"`
	Value float64  `json:"value"` // a sum over Count
	Count uint64   `json:"count"`
	Min   *float64 `json:"min,omitempty"`
	Max   *float64 `json:"max,omitempty"`
}

// newEnvelope wraps data, whose type is baseType, in the form common to all.
func newEnvelope(name, baseType string, at time.Time, tags map[string]string, data any) envelope {
	return envelope{
		Ver: 1, Name: "Microsoft.ApplicationInsights." + name,
		Time:       at.UTC().Format("2006-01-02T15:04:05.0000000Z"),
		SampleRate: 100, Tags: tags, Data: payload{baseType, data},
	}
}

// resourceTags name the program. The role is the attribute cloud.role, where
// there is one, so that a function app bears the name under which its host
// reports, and service.name otherwise.
func resourceTags(r *resource.Resource) map[string]string {
	tags := map[string]string{}
	set := r.Set()
	for _, t := range []struct{ tag, attribute string }{
		{"ai.cloud.role", "service.name"},
		{"ai.cloud.role", "cloud.role"},
		{"ai.cloud.roleInstance", "service.instance.id"},
		{"ai.application.ver", "service.version"},
	} {
		if v, ok := set.Value(attribute.Key(t.attribute)); ok && v.String() != "" {
			tags[t.tag] = clip(v.String(), maxRole)
		}
	}
	return tags
}

func setProperty(properties map[string]string, kv attribute.KeyValue) {
	properties[clip(string(kv.Key), maxPropertyKey)] = clip(kv.Value.String(), maxPropertyValue)
}

// timeSpan writes d as .NET does, d.hh:mm:ss.fffffff. The schema takes less than
// 1,000 days, and a clock that was set back can make d negative.
func timeSpan(d time.Duration) string {
	const day = 24 * time.Hour
	d = min(max(d, 0), 1000*day-100)
	return fmt.Sprintf("%d.%02d:%02d:%02d.%07d",
		d/day, d%day/time.Hour, d%time.Hour/time.Minute, d%time.Minute/time.Second, d%time.Second/100)
}

// clip cuts s to n bytes at most, between characters.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
