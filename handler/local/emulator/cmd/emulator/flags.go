package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/posthorn/posthorn/handler/local/emulator"
	"github.com/posthorn/posthorn/handler/local/inbox"
	"github.com/posthorn/posthorn/handler/mail"
)

// options are what the command line says.
type options struct {
	config                      emulator.Config
	listen, inbox               string
	key, names                  string
	dir                         string
	maxMessages                 int
	maxBytes                    int64
	certificate, certificateKey string
	verbose, version            bool

	preset, window, repeat, domains string
}

// errUsage means that what is wrong has been printed already.
var errUsage = errors.New("wrong usage")

func (o *options) scheme() string {
	if o.certificate != "" {
		return "https"
	}
	return "http"
}

// flags declares the flags; README.md has a table of them, held by a test.
func flags(o *options) *flag.FlagSet {
	f := flag.NewFlagSet("emulator", flag.ContinueOnError)
	f.StringVar(&o.listen, "listen", "127.0.0.1:8026", "`address` of the emulator")
	f.StringVar(&o.inbox, "inbox", "127.0.0.1:8025", "`address` of the inbox")
	f.StringVar(&o.names, "names", "", "more `names` of this machine, separated by commas, such as the name of a container")
	f.StringVar(&o.dir, "dir", "", "`folder` that keeps the messages across restarts; none: memory")
	f.IntVar(&o.maxMessages, "max-messages", inbox.DefaultMaxMessages, "messages to keep; the oldest make room")
	f.Int64Var(&o.maxBytes, "max-bytes", inbox.DefaultMaxBytes, "`bytes` of messages to keep; the oldest make room")
	f.StringVar(&o.key, "key", emulator.DevelopmentKey, "access `key`, Base64")
	f.BoolVar(&o.config.BearerOnly, "bearer-only", false, "refuse access keys, as disableLocalAuth does")
	f.StringVar(&o.domains, "sender-domains", "", "linked `domains`, separated by commas; none: any")
	f.StringVar(&o.preset, "preset", "", "`limits` of a new subscription: custom or managed (domain)")
	f.IntVar(&o.config.Limits.Send.PerMinute, "per-minute", 0, "send calls a minute; 0: any number, or the preset's")
	f.IntVar(&o.config.Limits.Send.PerHour, "per-hour", 0, "send calls an hour")
	f.IntVar(&o.config.Limits.Status.PerMinute, "status-per-minute", 0, "status calls a minute")
	f.IntVar(&o.config.Limits.Status.PerHour, "status-per-hour", 0, "status calls an hour")
	f.StringVar(&o.window, "window", "sliding", "how calls are counted: sliding or fixed `windows`")
	f.BoolVar(&o.config.CountRefused, "count-refused", false, "count calls answered 429 too")
	f.StringVar(&o.repeat, "repeat", "dedup", "a known Operation-Id is answered again (dedup), refused with 400 (`refuse`) or sent again (double)")
	f.Int64Var(&o.config.MaxRequestBytes, "max-request", mail.MaxACSRequestBytes, "largest send call in `bytes`")
	f.DurationVar(&o.config.Delay, "delay", emulator.DefaultDelay, "how long an operation stays Running")
	f.DurationVar(&o.config.VisibleAfter, "visible-after", 0, "how long a new operation answers 404")
	f.DurationVar(&o.config.ReportAfter, "report-after", emulator.DefaultReportAfter, "how long after an attempt its delivery event comes")
	f.DurationVar(&o.config.Slowness, "slow", emulator.DefaultSlowness, "how late the fault slow@ answers")
	f.StringVar(&o.config.WebhookURL, "webhook", "", "`URL` that takes delivery events in the Event Grid schema")
	f.StringVar(&o.certificate, "tls-cert", "", "certificate `file` (PEM): serve the emulator over HTTPS")
	f.StringVar(&o.certificateKey, "tls-key", "", "private key `file` (PEM) of -tls-cert")
	f.BoolVar(&o.verbose, "v", false, "log each call to standard error")
	f.BoolVar(&o.version, "version", false, "say which version this is, and end")
	return f
}

func parseFlags(args []string, stderr io.Writer) (options, error) {
	var o options
	f := flags(&o)
	f.SetOutput(stderr)
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return o, err
		}
		return o, errUsage
	}
	if err := o.complete(f.Args()); err != nil {
		_, _ = fmt.Fprintf(stderr, "emulator: %v; emulator -h lists the flags\n", err)
		return o, errUsage
	}
	return o, nil
}

// complete turns words into values.
func (o *options) complete(rest []string) error {
	if len(rest) > 0 {
		return fmt.Errorf("%q is no flag", rest[0])
	}
	if o.domains != "" {
		o.config.SenderDomains = strings.Split(o.domains, ",")
	}
	o.config.Keys = []string{o.key}
	switch o.preset {
	case "":
	case "custom":
		fill(&o.config.Limits, emulator.CustomDomain)
	case "managed":
		fill(&o.config.Limits, emulator.ManagedDomain)
	default:
		return fmt.Errorf("-preset is custom or managed, not %q", o.preset)
	}
	windows := map[string]emulator.Window{"sliding": emulator.WindowSliding, "fixed": emulator.WindowFixed}
	repeats := map[string]emulator.Repeat{"dedup": emulator.RepeatDedup, "refuse": emulator.RepeatRefuse, "double": emulator.RepeatDouble}
	var known bool
	if o.config.Window, known = windows[o.window]; !known {
		return fmt.Errorf("-window is sliding or fixed, not %q", o.window)
	}
	if o.config.Repeat, known = repeats[o.repeat]; !known {
		return fmt.Errorf("-repeat is dedup, refuse or double, not %q", o.repeat)
	}
	if (o.certificate == "") != (o.certificateKey == "") {
		return errors.New("-tls-cert and -tls-key go together")
	}
	return nil
}

// fill takes the preset's limits where no flag set one.
func fill(l *emulator.Limits, preset emulator.Limits) {
	for _, p := range []struct {
		to   *int
		from int
	}{
		{&l.Send.PerMinute, preset.Send.PerMinute}, {&l.Send.PerHour, preset.Send.PerHour},
		{&l.Status.PerMinute, preset.Status.PerMinute}, {&l.Status.PerHour, preset.Status.PerHour},
	} {
		if *p.to == 0 {
			*p.to = p.from
		}
	}
}

// flagTable is for the README.
func flagTable() string {
	var b strings.Builder
	b.WriteString("| flag | default | what |\n| --- | --- | --- |\n")
	flags(&options{}).VisitAll(func(f *flag.Flag) {
		_, usage := flag.UnquoteUsage(f)
		value := f.DefValue
		if d, err := time.ParseDuration(value); err == nil && d == 0 || value == "false" || value == "" {
			value = ""
		} else if f.Name == "key" {
			value = "a well-known one"
		} else {
			value = "`" + value + "`"
		}
		fmt.Fprintf(&b, "| `-%s` | %s | %s |\n", f.Name, value, usage)
	})
	return b.String()
}
