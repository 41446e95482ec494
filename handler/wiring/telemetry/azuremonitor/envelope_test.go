package azuremonitor

import (
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"
	"pgregory.net/rapid"
)

func TestTimeSpan(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		in   time.Duration
		want string
	}{
		{"nothing", 0, "0.00:00:00.0000000"},
		{"a clock that was set back", -time.Second, "0.00:00:00.0000000"},
		{"one tick", 100, "0.00:00:00.0000001"},
		{"less than a tick", 99, "0.00:00:00.0000000"},
		{"every field", 3*24*time.Hour + 4*time.Hour + 5*time.Minute + 6*time.Second + 78*time.Millisecond, "3.04:05:06.0780000"},
		{"just under a day", 24*time.Hour - 100, "0.23:59:59.9999999"},
		{"999 days", 999 * 24 * time.Hour, "999.00:00:00.0000000"},
		{"more than the schema takes", 5000 * 24 * time.Hour, "999.23:59:59.9999999"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := timeSpan(tt.in); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestTimeSpanAlwaysHasItsForm(t *testing.T) {
	t.Parallel()
	form := regexp.MustCompile(`^\d{1,3}\.([01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{7}$`)
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64().Draw(t, "nanoseconds"))
		if s := timeSpan(d); !form.MatchString(s) {
			t.Fatalf("%v is written as %s", d, s)
		}
	})
}

func TestClip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s, n := rapid.String().Draw(t, "text"), rapid.IntRange(0, 20).Draw(t, "bytes")
		got := clip(s, n)
		if len(got) > n || !strings.HasPrefix(s, got) || !utf8.ValidString(got) {
			t.Fatalf("clip(%q, %d) = %q", s, n, got)
		}
		if len(s) > n && len(got) < n-3 {
			t.Fatalf("clip(%q, %d) = %q cuts off more than one character", s, n, got)
		}
	})
}

func TestRoleIsTheFunctionAppWhereThereIsOne(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name           string
		in             []attribute.KeyValue
		role, instance string
	}{
		{"no attribute", nil, "", ""},
		{"service alone", []attribute.KeyValue{attribute.String("service.name", "posthorn")}, "posthorn", ""},
		{"function app", []attribute.KeyValue{attribute.String("service.name", "posthorn"), attribute.String("cloud.role", "func-1"), attribute.String("service.instance.id", "i-9")}, "func-1", "i-9"},
		{"role that is empty", []attribute.KeyValue{attribute.String("service.name", "posthorn"), attribute.String("cloud.role", "")}, "posthorn", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tags := resourceTags(resource.NewSchemaless(tt.in...))
			if tags["ai.cloud.role"] != tt.role || tags["ai.cloud.roleInstance"] != tt.instance {
				t.Errorf("got %v", tags)
			}
		})
	}
}
