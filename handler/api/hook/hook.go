// Package hook turns what a webhook or an HTML form sends into messages.
//
// In: the headers, the query and the body of one delivery, and the Hook that the
// operator made for its sender. Out: the messages that it asks for, each with an
// operation id by which a delivery that comes twice is one message. A hook is a
// template (for the subject, the text and the HTML) and a policy (who proves what,
// who receives, who answers). It belongs to a caller, whose own policy holds for
// all that it sends: api/rest looks that caller up, and gateway asks it.
//
// A template reaches nothing but the payload of its delivery and the functions in
// functions.go, which open no file and no connection; it is bounded in steps, in
// time and in what it writes. An alert is not lost because a template cannot
// render it: the payload goes out in the generic layout then.
//
// It speaks no HTTP (api/rest does) and sends nothing (gateway does). Hooks
// are kept in a table of their own, as package keyring does.
//
// All sizes are bytes. What each sender sends, signs and repeats stands with its
// source in senders.go and verify.go.
package hook

import (
	"cmp"
	"net/http"
	"net/url"
	"time"

	"github.com/posthorn/posthorn/handler/accept/keyring"
	"github.com/posthorn/posthorn/handler/mail"
)

const (
	// MaxBodyBytes bounds a delivery. GitHub's largest is 25 MB, but what makes a
	// readable message is small; Event Grid's largest is 1 MB.
	MaxBodyBytes = 1 << 20
	// MaxItems bounds the messages of one delivery, so that all of them are taken
	// before the sender's time-out: Event Grid's is 30 s.
	MaxItems = 100
	// maxValues bounds the tree of a payload: a megabyte of commas is half a million
	// values. GitHub's largest sample has a thousand.
	maxValues = 50_000
	// MaxTemplateBytes holds for each of the three texts of a template. A row of
	// the table takes 32 Ki characters a value.
	MaxTemplateBytes = 30_000
	// RepeatWindow is how long the same body is the same delivery where a sender
	// names none. Alertmanager and Grafana repeat an alert that goes on, after
	// hours, in the same words: that must be a new message.
	RepeatWindow = 5 * time.Minute
)

// KeyPrefix starts the key of every hook. No key of a caller does: a caller's name has no
// underscore.
const KeyPrefix = "ph_hook_"

// Hook is one address under which a sender delivers.
type Hook struct {
	keyring.Holder

	Policy   Policy   `json:"policy"`
	Template Template `json:"template,omitzero"`
	// Dictated says that the sender dictates its secret.
	Dictated bool `json:"dictatedSecret,omitempty"`
	// Sealed is that secret. It never leaves the deployment: a hook that came from another
	// one has none until its operator sets it.
	Sealed []byte `json:"sealed,omitempty"`
}

// lacksSecret says that the sender's secret is not here.
func (h Hook) lacksSecret() bool { return h.Dictated && h.Sealed == nil }

// Policy is what the operator has decided for a hook.
type Policy struct {
	Caller string `json:"caller"` // the caller in whose name it sends
	Sender string `json:"sender"` // senderAddress of its messages
	// Builtin names the sender whose ways of signing, splitting and naming
	// deliveries hold, and whose template does where Template is empty.
	Builtin string `json:"builtin"`

	To      []string `json:"to,omitempty"`
	CC      []string `json:"cc,omitempty"`
	BCC     []string `json:"bcc,omitempty"`
	ReplyTo []string `json:"replyTo,omitempty"`
	// ToFrom points (RFC 6901) at recipients in the payload: a string, several with
	// commas, or a list. Each must be in Allow: an address, *@domain or *. Where the
	// payload names none, To holds.
	ToFrom string   `json:"toFrom,omitempty"`
	Allow  []string `json:"allow,omitempty"`
	// ReplyToFrom points at the address for Reply-To; a value that is no address is left out.
	ReplyToFrom string `json:"replyToFrom,omitempty"`

	// Check is how a delivery proves where it comes from.
	Check Check `json:"check"`
	// TokenHeader is one more header in which the hook's key may stand.
	TokenHeader string `json:"tokenHeader,omitempty"`
	// Dedupe says what names a delivery: "" is the sender's own way, "none",
	// "header:NAME", or "member:POINTER".
	Dedupe string `json:"dedupe,omitempty"`

	Priority mail.Priority `json:"priority,omitempty"`
	Tags     []mail.Tag    `json:"tags,omitempty"`

	Form *Form `json:"form,omitempty"` // of a hook that takes an HTML form
}

// Form is what holds for an HTML form, which anybody may send.
type Form struct {
	// Origins are the sites that have the form, as in the Origin header; * is any.
	Origins []string `json:"origins"`
	// Redirect is where a browser goes after success; empty means our own page.
	Redirect string `json:"redirect,omitempty"`
	// Honeypot is a field that people do not see. A robot that fills it in is told of
	// success, and nothing is sent.
	Honeypot string `json:"honeypot"`
	// PerAddress and PerHour are how many posts of an hour are taken from one client
	// address, and altogether, by one instance. 0 means the usual number.
	PerAddress int `json:"perAddress,omitempty"`
	PerHour    int `json:"perHour,omitempty"`
	// Cap is the part of the hourly sending quota, in percent, that the form never passes;
	// 0 means gateway's. MaxWaiting bounds its queued messages; 0 means the usual number.
	Cap        int `json:"cap,omitempty"`
	MaxWaiting int `json:"maxWaiting,omitempty"`
}

// The usual numbers of a form. Nobody posts a form twenty times an hour, and a site with
// more than 200 posts an hour has an application that can tell people from robots.
const (
	FormPerAddress = 20
	FormPerHour    = 200
	FormMaxWaiting = 100
)

// Rates are how many posts of an hour are taken from one address, and in all.
func (f Form) Rates() (perAddress, perHour int) {
	return cmp.Or(f.PerAddress, FormPerAddress), cmp.Or(f.PerHour, FormPerHour)
}

// Waiting is how many messages of the form may wait.
func (f Form) Waiting() int { return cmp.Or(f.MaxWaiting, FormMaxWaiting) }

// Template has the sources of what a message says. All empty means the built-in
// one of the policy's sender. At least one of Text and HTML comes with Subject.
type Template struct {
	Subject string `json:"subject"`
	Text    string `json:"text,omitempty"`
	HTML    string `json:"html,omitempty"`
}

// Delivery is one request of a sender.
type Delivery struct {
	Header http.Header
	Query  url.Values
	Pieces [][]byte // the body as it came, until it is proven
	Body   []byte   // all of it, after that
	At     time.Time
}

// Message is one message that a delivery asks for.
type Message struct {
	mail.Message
	// OperationID makes a repeat harmless; empty means that nothing does.
	OperationID string
	// TemplateError is where the hook's template failed; nil without a failure. It
	// quotes nothing of the payload.
	TemplateError error
	// Refused is why this message can never be sent, of a kind InvalidMessage; the
	// rest of it is empty then.
	Refused error
}
