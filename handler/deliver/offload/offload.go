// Package offload moves attachments that do not fit into a message to Blob
// Storage and puts links in their place, resolves those links when a recipient
// clicks, and deletes what has expired.
//
// In: a checked mail.Message with the bytes of its attachments, and the size
// that a request to ACS may have. Out: the same message made to fit, links for
// the answer, blobs and link rows; later the address behind a link, or the page
// that says why there is none.
//
// The order is Intake, Plan, Stage, Commit, and Discard if ACS refused. Staged
// blocks are invisible and Azure drops them after a week, so nothing is to be
// cleaned up before Commit. Commit makes blobs first and rows second: a link
// never leads to a blob that is not there yet.
//
// Base64 and the reading of requests are accept/wire's work, limits and names
// are accept/check's, HTTP is accept/front's, the signature is store/blob's.
//
// # What stands where
//
// A blob is called DAY/RANDOM, where DAY (2006-01-02) is the first day, in UTC,
// on which it may be deleted: the day after its link's last. So a listing in
// name order begins with what Sweep looks for. A token is DAY-RANDOM, where DAY
// (20060102) is the link's last day. RANDOM is 128 bits in lower-case Base32.
// The row of a link has the token's DAY as its partition and the SHA-256 of the
// token as its row key: a copy of the table opens no file.
//
// # An inline image that had to move
//
// It moves after all else, and then like everything else: as a link. Its place
// in the HTML shows the alternative text, because a mail client would not show
// an image that storage serves as a download of unknown type, which is how all
// senders' bytes must be served. The answer lists it among the links. A sender
// for whom that is not good enough sets placement to inline and has the message
// refused instead.
//
// # To add a language
//
// Add a row to the table in locale.go: tag, phrases, the layout of a time, the
// months, the decimal separator, the three pages. Run the tests with -update
// and read the new files in testdata.
//
// All sizes are bytes, before Base64 unless a name says otherwise.
package offload

import (
	"context"
	"io"
	"net/url"
	"time"

	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store"
)

const (
	// BlockBytes is the size of a staged block, 4 MiB: the fastest with an MD5
	// for each block, and 195 GiB with the 50,000 blocks that a blob may have.
	// Source: learn.microsoft.com, "Put Block List".
	BlockBytes = 4 << 20
	// ClockSkew is how far our clock may be ahead of storage's before a fresh
	// SAS is refused as not yet valid. It counts towards the life of the SAS.
	ClockSkew = 5 * time.Minute
	// LongestSASInMail is mail.MaxSASLife less what the key that signs may have
	// lived already.
	LongestSASInMail = mail.MaxSASLife - 2*time.Hour
	// UndoTimeout bounds the deletion of what a failed Commit left behind.
	UndoTimeout = 10 * time.Second
	// SweepPage is how many blobs Sweep looks at in one listing.
	SweepPage = 1000
)

// Blobs is a private container that holds nothing but offload's blobs. Every
// method may be repeated. An error wraps one of package store's.
type Blobs interface {
	// Stage uploads block n (from 0) of a blob that stays invisible until Commit.
	// It must not keep block.
	Stage(ctx context.Context, name string, n int, block []byte) error
	// Commit makes the first blocks of the staged ones a blob. It answers
	// store.ErrExists for a name that is taken, perhaps by its own first try.
	Commit(ctx context.Context, name string, blocks int, h store.BlobHeaders) error
	Delete(ctx context.Context, name string) error
	// SignRead makes an HTTPS-only user delegation SAS URL that reads this blob.
	SignRead(ctx context.Context, name string, from, until time.Time) (string, error)
	// List returns at most n blobs in the order of their names, from the first
	// after the name after.
	List(ctx context.Context, prefix, after string, n int) ([]store.Blob, error)
}

// Links is the table of links. An error wraps one of package store's, and what
// it leaves behind is said there.
type Links interface {
	Insert(ctx context.Context, e store.Entity) (store.Receipt, error)
	Get(ctx context.Context, partition, row string) (store.Entity, store.Receipt, error)
	Replace(ctx context.Context, e store.Entity) (store.Receipt, error)
	Delete(ctx context.Context, partition, row string, etag store.ETag) error
	List(ctx context.Context, partition string) ([]store.Entity, error)
}

// Config is what an Offload is made of. What is not called optional is required.
type Config struct {
	Blobs Blobs
	Links Links
	// PublicURL is where recipients reach the gateway.
	PublicURL *url.URL
	// DownloadOrigin replaces scheme and host of every SAS URL; optional, for
	// storage that recipients reach under another name than the gateway does.
	DownloadOrigin *url.URL
	// SASInMail puts a SAS URL into the mail in place of a link to the gateway.
	// It lives at most LongestSASInMail and cannot be revoked.
	SASInMail bool
	// DefaultLanguage is a BCP 47 tag; optional, English if empty or unknown.
	DefaultLanguage string
	Now             func() time.Time
	Rand            io.Reader // cryptographically secure
}

// Offload moves attachments to blobs and resolves the links to them. It is safe
// for concurrent use if its Config is.
type Offload struct {
	config Config
}

// New makes an Offload.
func New(c Config) *Offload { return &Offload{config: c} }

// sign makes a SAS URL that begins early enough for a slow clock of storage,
// ends by expires, and lives at most life.
func (o *Offload) sign(ctx context.Context, blob string, expires time.Time, life time.Duration) (string, error) {
	from := o.config.Now().UTC().Add(-ClockSkew).Truncate(time.Second)
	until := from.Add(life)
	if expires.Before(until) {
		until = expires
	}
	signed, err := o.config.Blobs.SignRead(ctx, blob, from, until)
	if err != nil {
		return "", problem.Wrap(problem.Unavailable, "The file's address could not be signed. Try again.", err)
	}
	address, err := url.Parse(signed)
	if err != nil {
		// The cause quotes the URL, and with it the signature.
		return "", problem.New(problem.Internal, "Storage gave an address that is none.")
	}
	if origin := o.config.DownloadOrigin; origin != nil {
		address.Scheme, address.Host = origin.Scheme, origin.Host
	}
	return address.String(), nil
}

// linkURL is the address that a recipient gets for a token.
func (o *Offload) linkURL(token string) string {
	return o.config.PublicURL.JoinPath("files", token).String()
}

// lastInstant is when a link made now ends: a whole second, as in a SAS.
func (o *Offload) lastInstant(life time.Duration) time.Time {
	if o.config.SASInMail {
		life = min(life, LongestSASInMail)
	}
	return o.config.Now().UTC().Add(life).Truncate(time.Second)
}
