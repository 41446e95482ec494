package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	netmail "net/mail"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/posthorn/posthorn/handler/accept/caller"
	"github.com/posthorn/posthorn/handler/operate/sendtest"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/version"
)

type sendTest struct {
	To      string        `arg:"" help:"Recipient address."`
	Sender  string        `placeholder:"ADDRESS" help:"Sender address. Default: the caller's first."`
	Caller  string        `placeholder:"NAME" help:"Caller to send as. Needed if there are several."`
	KeyFile string        `placeholder:"FILE" help:"File with a caller's key. Overrides POSTHORN_KEY."`
	Direct  bool          `help:"Send directly to ACS, outside of Posthorn's quota."`
	Wait    time.Duration `default:"2m" placeholder:"TIME" help:"Longest time to wait. Default: 2m."`
	JSON    bool          `help:"Print a JSON report."`
}

func (sendTest) Help() string {
	return "The message takes the way of a caller's message. The test ends when ACS has sent it.\n\n" +
		examples("posthorn send-test ann@example.com", "posthorn send-test ann@example.com --direct --sender donotreply@example.com")
}

// Validate finds mistakes before any setting is read.
func (cmd *sendTest) Validate() error {
	a, err := netmail.ParseAddress(cmd.To)
	switch {
	case cmd.To == "": // the parser says so itself
	case err != nil || a.Address != cmd.To:
		return errors.New("the recipient is an address, such as ann@example.com")
	case cmd.Direct && cmd.KeyFile != "":
		return errors.New("ACS knows no caller's key: --direct and --key-file exclude each other")
	case cmd.Caller != "" && cmd.KeyFile != "":
		return errors.New("a key is of one caller: --caller and --key-file exclude each other")
	case cmd.Wait <= 0:
		return errors.New("--wait must be longer than 0s")
	}
	return nil
}

// passage is a way that is ready, and what is to be said of it.
type passage struct {
	way        sendtest.Way
	name       string // gateway or acs
	words      string
	deployment string
	caller     string
	sender     string
	version    string // of the gateway; "" if it is not asked, or does not say
}

// testReport has the same members however a message fared.
type testReport struct {
	Way        string `json:"way"`
	Deployment string `json:"deployment"`
	Caller     string `json:"caller"`
	Sender     string `json:"sender"`
	sendtest.Report
}

func (cmd *sendTest) Run(ctx context.Context, c *console) error {
	prepare := cmd.throughGateway
	if cmd.Direct {
		prepare = cmd.straight
	}
	p, err := prepare(ctx, c)
	if err != nil {
		return err
	}
	c.tell("Sending from %s, %s.", p.sender, p.words)
	id := uuid.NewString()
	trial := sendtest.Trial{Way: p.way, Now: c.now, Wait: cmd.Wait, Told: func(s sendtest.Step) {
		c.tell("  %-10s %6.1fs  %s", s.Name, float64(s.Milliseconds)/1000, s.Detail)
	}}
	origin := sendtest.Origin{Deployment: p.deployment, Way: p.words, Gateway: p.version, Program: version.String(), At: c.now()}
	report, err := trial.Run(ctx, id, sendtest.Compose(origin, p.sender, cmd.To, id))
	if cmd.JSON {
		err = errors.Join(err, c.asJSON(testReport{p.name, p.deployment, p.caller, p.sender, report}))
	}
	if err != nil {
		return err
	}
	c.tell("ACS sent the message within %.1fs. Check the mailbox and its spam folder.", float64(report.Milliseconds)/1000)
	if !cmd.JSON {
		_, err = fmt.Fprintln(c.out, report.ID)
	}
	return err
}

// throughGateway goes as a caller does. With a key at hand it needs no setting but the
// gateway's address.
func (cmd *sendTest) throughGateway(ctx context.Context, c *console) (p passage, err error) {
	key, err := cmd.givenKey(c)
	if err != nil {
		return p, err
	}
	if p.deployment = c.variable("POSTHORN_PUBLIC_URL"); p.deployment == "" {
		if at, err := c.connection(); err == nil {
			p.deployment = at.Settings["POSTHORN_PUBLIC_URL"]
		}
	}
	if key == "" {
		d, err := c.openKeyed(ctx)
		if err != nil {
			return p, err
		}
		who, err := cmd.caller(ctx, d.deployment)
		if err != nil {
			return p, err
		}
		key, p.deployment = d.Callers.OldestKey(who), d.publicURL
	}
	if p.deployment == "" {
		return p, settingsError{errors.New("POSTHORN_PUBLIC_URL: is missing: say under which address the gateway is reached")}
	}
	g, err := sendtest.NewGateway(p.deployment, key, http.DefaultTransport)
	if err != nil {
		return p, settingsError{err}
	}
	me, err := g.Me(ctx)
	if err != nil {
		return p, err
	}
	p.way, p.name, p.caller, p.version = g, "gateway", me.Name, g.Version(ctx)
	p.words = fmt.Sprintf("through the gateway at %s, as caller %s", p.deployment, me.Name)
	p.sender, err = cmd.sender(me.Name, me.Policy.Senders)
	return p, err
}

// straight goes past Posthorn, with the credential of the settings.
func (cmd *sendTest) straight(ctx context.Context, c *console) (p passage, err error) {
	d, err := c.open()
	if err != nil {
		return p, err
	}
	p = passage{way: sendtest.Direct{Client: d.ACS}, name: "acs", deployment: d.publicURL, sender: cmd.Sender, words: "directly to ACS at " + d.acsEndpoint}
	if p.sender == "" {
		who, err := cmd.caller(ctx, d)
		if err != nil {
			return p, err
		}
		if p.sender, err = cmd.sender(who.Name, who.Policy.Senders); err != nil {
			return p, err
		}
	}
	c.tell("Posthorn's quota does not count this message. ACS counts it, so another message may get a 429.")
	return p, nil
}

// givenKey is the key that was given, if one was. A caller that is named has another.
func (cmd *sendTest) givenKey(c *console) (string, error) {
	switch {
	case cmd.KeyFile != "":
		key, err := os.ReadFile(cmd.KeyFile)
		if err == nil && strings.TrimSpace(string(key)) == "" {
			err = fmt.Errorf("%s is empty", cmd.KeyFile)
		}
		return strings.TrimSpace(string(key)), err
	case cmd.Caller != "":
		return "", nil
	}
	return c.variable("POSTHORN_KEY"), nil
}

// caller is the one that was named, or the only one whose messages leave.
func (cmd *sendTest) caller(ctx context.Context, d deployment) (caller.Caller, error) {
	all, err := d.Callers.All(ctx)
	if err != nil {
		return caller.Caller{}, err
	}
	var names []string
	var found []caller.Caller
	for _, who := range all {
		if who.Name == cmd.Caller || cmd.Caller == "" && !who.Policy.Sandbox {
			names, found = append(names, who.Name), append(found, who)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return caller.Caller{}, usageError("There are several callers. Add --caller with one of " + strings.Join(names, ", ") + ".")
	case cmd.Caller != "":
		return caller.Caller{}, problem.New(problem.NotFound, "There is no caller %q.", cmd.Caller)
	}
	return caller.Caller{}, problem.New(problem.NotFound, "No caller sends. Add one with \"posthorn callers add\".")
}

// sender is the one that was named, or the first address among those of a caller.
func (cmd *sendTest) sender(name string, senders []string) (string, error) {
	if cmd.Sender != "" {
		return cmd.Sender, nil
	}
	i := slices.IndexFunc(senders, func(s string) bool { return !strings.Contains(s, "*") })
	if i < 0 {
		return "", usageError(fmt.Sprintf("Caller %s may send from %s. Add --sender with one address.", name, strings.Join(senders, ", ")))
	}
	return senders[i], nil
}
