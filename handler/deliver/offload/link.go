package offload

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store"
)

// The values of a link's row. Those that no code reads are for an operator who
// is asked what a link was. The files are one value each, valueFile and a number
// from 1, as the address has it: one value for all could be too long.
const (
	valueExpires  = "expires"
	valueCaller   = "caller"
	valueMessage  = "message"
	valueLanguage = "language"
	valueRevoked  = "revoked"
	valueFile     = "file"
)

// maxTries is how often a writer meets a row that changes under it.
const maxTries = 4

// linked is a file as the row of its link has it.
type linked struct {
	Index int    `json:"index"` // in the caller's attachments
	Name  string `json:"name"`
	Size  int64  `json:"size"`
	Blob  string `json:"blob"` // empty once another row lists it
}

func (l linked) value() string { return string(store.JSON(l)) }

func (mv *Move) row() store.Entity {
	values := map[string]any{
		valueExpires:  mv.expires,
		valueCaller:   mv.owner.Caller,
		valueMessage:  mv.owner.Message,
		valueLanguage: mv.language,
		valueRevoked:  false,
	}
	for at, f := range mv.files {
		values[fileValue(at+1)] = linked{Index: f.link.Index, Name: f.link.Name, Size: f.link.Size, Blob: f.blob}.value()
	}
	return store.Entity{Partition: mv.key.Partition, Row: mv.key.Row, Values: values}
}

func fileValue(n int) string { return valueFile + strconv.Itoa(n) }

// files are those that a row lists, the first being number 1.
func files(e store.Entity) (all []linked, err error) {
	for n := 1; ; n++ {
		text, ok := e.Values[fileValue(n)].(string)
		if !ok {
			return all, nil
		}
		var l linked
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			return nil, fmt.Errorf("file %d of a link's row cannot be read", n)
		}
		all = append(all, l)
	}
}

// expiry is when what a row stands for ends. One without a time has ended.
func expiry(e store.Entity) time.Time {
	t, _ := e.Values[valueExpires].(time.Time)
	return t
}

// Opened is what a recipient gets: where a file can be fetched just now, or a
// page that lists several.
type Opened struct {
	Location string // empty if there is a Page
	Page     []byte // HTML, to be shown under PageSecurityPolicy
	Language string // of Page, for Content-Language

	count func(context.Context) // nil if there is a Page
}

// Downloaded counts a download of what was opened. That goes on after Downloaded has
// returned, and may fail unheard.
func (o Opened) Downloaded(ctx context.Context) {
	if o.count != nil {
		o.count(ctx)
	}
}

// OpenLink resolves the n-th file behind a link's token, counted from 1, or for n = 0
// the only one, or the page that lists them all in the language that the browser
// asks for, else in the message's language. The location is a SAS URL that lives at
// most mail.ClickSASLife and never longer than the link. OpenLink may be
// repeated. An error is NotFound for a token that was never made or a number
// that it does not have, Gone for one that has expired or was revoked,
// Unavailable if storage does not answer.
func (o *Offload) OpenLink(ctx context.Context, token string, n int, acceptLanguage string) (Opened, error) {
	k, ok := keyOf(token, "")
	if !ok {
		return Opened{}, notFound()
	}
	e, err := o.link(ctx, k)
	if err != nil {
		return Opened{}, err
	}
	all, err := files(e)
	expires := expiry(e)
	revoked, _ := e.Values[valueRevoked].(bool)
	if err != nil || len(all) == 0 || revoked || !o.config.Now().Before(expires) {
		return Opened{}, gone()
	}
	switch {
	case n < 0 || n > len(all):
		return Opened{}, notFound()
	case n == 0 && len(all) > 1:
		language, _ := e.Values[valueLanguage].(string)
		return o.list(token, all, expires, localeFor(acceptLanguage, language, o.config.DefaultLanguage)), nil
	}
	n = max(n, 1)
	blob := all[n-1].Blob
	if blob == "" {
		return Opened{}, gone()
	}
	location, err := o.signRead(ctx, blob, all[n-1].Name, expires)
	if err != nil {
		return Opened{}, err
	}
	count := func(ctx context.Context) { o.count(ctx, k, expires, n, len(all)) }
	return Opened{Location: location, count: count}, nil
}

// RevokeLinks ends all links of a message before their time. A SAS that OpenLink has
// already given out lives on for its minutes. The blobs go on the day they would
// have gone anyway. It may be repeated. Errors are as in OpenLink.
func (o *Offload) RevokeLinks(ctx context.Context, token string) error {
	k, ok := keyOf(token, "")
	if !ok {
		return notFound()
	}
	return o.RevokeMessage(ctx, k)
}

// Summary is what the operator is told of the links of one message.
type Summary struct {
	Files     int
	Downloads int64
	Expires   time.Time
	Revoked   bool
}

// Summarize tells what RevokeLinks would end. Errors are as in OpenLink.
func (o *Offload) Summarize(ctx context.Context, token string) (l Summary, err error) {
	k, ok := keyOf(token, "")
	if !ok {
		return l, notFound()
	}
	e, err := o.link(ctx, k)
	if err != nil {
		return l, err
	}
	downloads, revoked, err := o.Downloads(ctx, k)
	l = Summary{Files: len(downloads), Expires: expiry(e), Revoked: revoked}
	for _, d := range downloads {
		l.Downloads += d.Count
	}
	return l, err
}

// RevokeMessage is RevokeLinks for a caller that has the key and not the token.
func (o *Offload) RevokeMessage(ctx context.Context, k Key) error {
	for range maxTries {
		e, err := o.link(ctx, k)
		if err != nil {
			return err
		}
		if revoked, _ := e.Values[valueRevoked].(bool); !revoked {
			e.Values[valueRevoked] = true
			_, err = o.config.Links.Replace(ctx, e)
		}
		if errors.Is(err, store.ErrChanged) {
			continue
		}
		return away(err)
	}
	return away(store.ErrChanged)
}

// link reads the row of a message's links.
func (o *Offload) link(ctx context.Context, k Key) (store.Entity, error) {
	if k == (Key{}) {
		return store.Entity{}, notFound()
	}
	e, _, err := o.config.Links.Get(ctx, k.Partition, k.Row)
	switch {
	case err == nil:
		return e, nil
	case !errors.Is(err, store.ErrMissing):
		return store.Entity{}, away(err)
	case day(o.config.Now()) > k.Partition:
		// CleanUp has been: such a link cannot be told from one never made.
		return store.Entity{}, gone()
	default:
		return store.Entity{}, notFound()
	}
}

// forget takes a blob off the row of an earlier try to send the same message, if
// there is one, so that the row does not delete it before its new time.
func (o *Offload) forget(ctx context.Context, k Key, blob string) error {
	for range maxTries {
		e, _, err := o.config.Links.Get(ctx, k.Partition, k.Row)
		if err != nil {
			return unlessMissing(err)
		}
		all, err := files(e)
		if err != nil {
			return err
		}
		for at, f := range all {
			if f.Blob == blob {
				f.Blob = ""
				e.Values[fileValue(at+1)] = f.value()
			}
		}
		if _, err := o.config.Links.Replace(ctx, e); !errors.Is(err, store.ErrChanged) {
			return unlessMissing(err)
		}
	}
	return store.ErrChanged
}

func gone() error { return problem.New(problem.Gone, "The link has expired or was withdrawn.") }

func notFound() error { return problem.New(problem.NotFound, "There is no such link.") }

func away(err error) error {
	return problem.Wrap(problem.Unavailable, "The link cannot be looked up just now. Try again.", err)
}
