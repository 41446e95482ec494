package host

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestHostJSONWithTheHostsDefaults(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "host.json"),
		`{"version":"2.0","customHandler":{"description":{"defaultExecutablePath":"handler"},"enableProxyingHttpRequest":true}}`)
	got, err := readSettings(dir, nil)
	want := settings{
		executable: filepath.Join(dir, "handler"), initialization: 30 * time.Second, functionTimeout: 30 * time.Minute, routePrefix: "api", maxBody: MaxRequestBodyBytes,
		queues: queueSettings{batch: 16, threshold: 8, maxDequeueCount: 5, maxPolling: time.Minute},
	}
	if err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
}

// A run on a developer's machine waits longer for a handler than Azure does.
func TestTheStartTimeIsThatOfHostJSONUnlessOneIsGiven(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "host.json"),
		`{"version":"2.0","customHandler":{"description":{"defaultExecutablePath":"h"},"enableProxyingHttpRequest":true,"initializationTimeout":"00:00:45"}}`)
	write(t, filepath.Join(dir, "f", "function.json"), `{"bindings":[{"direction":"in","name":"x","type":"httpTrigger"},{"direction":"out","name":"res","type":"http"}]}`)
	for given, want := range map[time.Duration]time.Duration{0: 45 * time.Second, time.Hour: time.Hour} {
		h, err := New(Config{Dir: dir, StartTime: given, Log: slog.New(slog.DiscardHandler)})
		if err != nil || h.handler.settings.initialization != want {
			t.Errorf("given %s: %v, %v", given, h, err)
		}
	}
}

func TestAnAppThatTheHostWouldNotServeIsRefused(t *testing.T) {
	t.Parallel()
	const (
		good    = `{"version":"2.0","customHandler":{"description":{"defaultExecutablePath":"h"},"enableProxyingHttpRequest":true}}`
		trigger = `{"direction":"in","name":"x","type":`
		out     = `{"direction":"out","name":"res","type":"http"}`
	)
	for _, c := range []struct{ name, host, folder, bindings, says string }{
		{"wrong version", `{}`, "f", ``, "version"},
		{"no executable", `{"version":"2.0"}`, "f", ``, "defaultExecutablePath"},
		{"forwarding", strings.Replace(good, "Proxying", "Forwarding", 1), "f", ``, "enableProxyingHttpRequest"},
		{"plain queue texts", strings.Replace(good, `{`, `{"extensions":{"queues":{"messageEncoding":"none"}},`, 1), "f", ``, "base64"},
		{"time span", strings.Replace(good, `{`, `{"functionTimeout":"5m",`, 1), "f", ``, "hh:mm:ss"},
		{"no JSON", good[:9], "f", ``, "host.json"},
		{"no function", good, "", ``, "NAME/function.json"},
		{"name", good, "1st", trigger + `"httpTrigger"},` + out, "name a function"},
		{"no binding", good, "f", ``, "trigger"},
		{"output first", good, "f", out, "trigger"},
		{"HTTP without output", good, "f", trigger + `"httpTrigger"}`, "JSON protocol"},
		{"HTTP with a second output", good, "f", trigger + `"httpTrigger"},` + out + "," + out, "JSON protocol"},
		{"timer with an output", good, "f", trigger + `"timerTrigger","schedule":"0 0 0 * * *"},` + out, "outputs"},
		{"unknown trigger", good, "f", trigger + `"kafkaTrigger"}`, "kafkaTrigger"},
		{"schedule", good, "f", trigger + `"timerTrigger","schedule":"hourly"}`, "six fields"},
		{"queue without any", good, "f", trigger + `"queueTrigger","queueName":"q"}`, "queue"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			write(t, filepath.Join(dir, "host.json"), c.host)
			if c.folder != "" {
				write(t, filepath.Join(dir, c.folder, "function.json"), `{"bindings":[`+c.bindings+`]}`)
			}
			if _, err := New(Config{Dir: dir}); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want a word of %q", err, c.says)
			}
		})
	}
}

func TestSettingsStandInBindings(t *testing.T) {
	t.Parallel()
	env := []string{"MAIL=x", "MAIL_QUEUE=mail", "EVERY=0 0 * * * *"}
	for in, want := range map[string]string{"%MAIL_QUEUE%": "mail", "%EVERY%": "0 0 * * * *", "mail": "mail", "%NONE%": "%NONE%", "%MAIL": "%MAIL"} {
		if got := expand(in, env); got != want {
			t.Errorf("%s became %q, want %q", in, got, want)
		}
	}
}

func TestRoutes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		route, path string
		match       bool
	}{
		{"emails:send", "emails:send", true},
		{"emails:send", "Emails%3ASend", true},
		{"emails:send", "emails", false},
		{"files/{token}", "files/abc", true},
		{"files/{token}", "files/a%2Fb", true},
		{"files/{token}", "files/", false},
		{"files/{token}", "files/a/b", false},
		{"{*rest}", "any/thing", true},
		{"files/{*rest}", "other/thing", false},
		{"v3/{*rest}", "v3", true},
		{"v3/{*rest}", "v3/user/profile", true},
		{"v3/{*rest}", "v3/user//profile", true},
		{"v3/{*rest}", "v3//user", false},
		{"v3/{*rest}", "/v3/user", false},
		{"v3/{*rest}", "v30/user", false},
	} {
		t.Run(fmt.Sprintf("%s meets %s", c.route, c.path), func(t *testing.T) {
			t.Parallel()
			if got := matchRoute(splitRoute("", &c.route), strings.Split(c.path, "/")); got != c.match {
				t.Errorf("got %t", got)
			}
		})
	}
	if got := splitRoute("name", nil); !reflect.DeepEqual(got, []string{"name"}) {
		t.Errorf("without a route: %q", got)
	}
}

func TestCrashesFarApartAreForgiven(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name   string
		apart  time.Duration
		tooBad bool
	}{{"at the window", crashWindow, true}, {"past the window", crashWindow + time.Second, false}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var k crashes
			first, second, third := k.add(start), k.add(start.Add(c.apart)), k.add(start.Add(2*c.apart))
			if first || second || third != c.tooBad {
				t.Errorf("got %t %t %t", first, second, third)
			}
		})
	}
}
