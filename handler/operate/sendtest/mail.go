package sendtest

import (
	"fmt"
	"html"
	"net/url"
	"strings"
	"time"
)

// Origin is what the message tells of where it comes from. It has no secret.
type Origin struct {
	Deployment string // its public URL
	Way        string // in words
	Version    string // of the program; "" if it is not known
	At         time.Time
}

// Compose writes the message.
func Compose(o Origin, sender, to, id string) Message {
	name := o.Deployment
	if u, err := url.Parse(o.Deployment); err == nil && u.Host != "" {
		name = u.Host
	}
	_, domain, _ := strings.Cut(sender, "@")
	rows := [][2]string{{"Deployment", o.Deployment}, {"Way", o.Way}, {"Sent at", o.At.UTC().Format(time.RFC3339)}, {"Operation", id}}
	if o.Version != "" {
		rows = append(rows, [2]string{"Version", o.Version})
	}
	const first = "This message was sent by \"posthorn send-test\". It has arrived, so mail leaves this deployment."
	last := fmt.Sprintf("If it lies in the spam folder, look at the SPF, DKIM and DMARC records of %s.", domain)
	var text, table strings.Builder
	for _, r := range rows {
		fmt.Fprintf(&text, "%-11s %s\n", r[0]+":", r[1])
		fmt.Fprintf(&table, "<tr><th align=\"left\">%s</th><td>%s</td></tr>\n", html.EscapeString(r[0]), html.EscapeString(r[1]))
	}
	return Message{
		Sender: sender, To: to, Subject: "Test message of Posthorn at " + name,
		Text: first + "\n\n" + text.String() + "\n" + last + "\n",
		HTML: "<p>" + html.EscapeString(first) + "</p>\n<table cellpadding=\"4\">\n" + table.String() + "</table>\n<p>" + html.EscapeString(last) + "</p>\n",
	}
}
