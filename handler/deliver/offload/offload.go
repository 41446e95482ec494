// Package offload moves attachments that do not fit into a message to Blob
// Storage and puts links in their place, takes in files that callers upload
// themselves, resolves the links when a recipient clicks, and deletes what has
// expired.
//
// In: attachments as streams while a message is being read, then the checked
// mail.Message and the size that a request to ACS may have; or the id of an
// upload. Out: the same message made to fit, links for the answer, blobs and
// rows; later the address behind a link, the page that lists a message's files,
// or the page that says why the link does not work.
//
// The order is Intake, Plan, Stage, Commit, and Discard if the message was not
// sent; Intake.Close in any case.
//
// Base64 and the reading of requests are accept/wire's work, limits and names
// are accept/check's, HTTP is api/rest's, the signature is store/blob's, and
// how many requests may be under way at once is decided with Memory.
//
// # What is held in memory
//
// An Intake keeps attachments while all of them still fit into one request to
// ACS by the arithmetic of Base64. At the first byte that does not, the largest
// so far goes to staged blocks, the one being read counting with what is read of
// it; inline images go last, what has placement inline never. A body whose
// length says that everything fits is kept whole, one whose length says that it
// cannot fit keeps KeepBytes and streams the rest. Memory is the bound for each.
//
// # What stands where
//
// A message has one token, DAY-RANDOM, where DAY (20060102) is the last day of
// its links in UTC and RANDOM is 128 bits in lower-case Base32. Its row has DAY as
// its partition and the SHA-256 of the token as its row key: a copy of the table
// opens no file. The row lists the message's blobs, and is how CleanUp finds them:
// it is written before a blob is committed and deleted after all of them. Names
// of blobs say nothing, since an attachment may come before the member that says
// how long it is kept.
//
// The row of an upload slot is made alike, from its id, in the partition
// upload-DAY-CALLER. Once a message has claimed the upload, its row names the row of
// the message's links. The row that lists the blob last deletes it.
//
// Downloads are counted in a row beside the row of the links, so that a count never
// delays a revocation.
//
// # What a crash leaves behind
//
// Staged blocks are invisible. Blocks of a failed message are dropped at once. Azure
// drops the blocks of a dead process a week after the last write to their blob. A row
// without blobs is removed on its day. A committed blob always has a row; where it cannot be known whether a commit has happened or
// will yet, the row stays until its day. A slot goes SlotGrace after its end:
// with its blob, unless the row of a message lists that.
//
// # An inline image that had to move
//
// It moves after all else, and then like everything else: as a link. Its place
// in the HTML shows the alternative text, because a mail client would not show
// an image that storage serves as a download of unknown type, which is how all
// senders' bytes must be served. The answer lists it among the links. A sender
// who sets placement to inline, before the content, has the message refused instead.
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
	"hash"
	"io"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
	"github.com/posthorn/posthorn/handler/store"
)

const (
	// ClockSkew is how far our clock may be ahead of storage's before a fresh
	// SAS is refused as not yet valid. It counts towards the life of the SAS.
	ClockSkew = 5 * time.Minute
	// UndoTimeout bounds the deletion of what a failed Commit left behind.
	UndoTimeout = 10 * time.Second
	// DropTimeout bounds the deletion of the blocks that a request has staged in vain.
	DropTimeout = time.Minute
)

// Blobs is a private container that holds nothing but offload's blobs. Every
// method may be repeated. An error wraps one of package store's.
type Blobs interface {
	// Stage uploads block n (from 0) of a blob that stays invisible until Commit.
	// sum is the block's Checksum. It must keep neither.
	Stage(ctx context.Context, name string, n int, block, sum []byte) error
	// Checksum makes the sum that storage compares a block with.
	Checksum() hash.Hash
	// Commit makes the first blocks of the staged ones a blob. It answers
	// store.ErrExists for a name that is taken, perhaps by its own first try.
	Commit(ctx context.Context, name string, blocks int, h store.BlobHeaders) error
	// Delete removes a blob, sealed or not.
	Delete(ctx context.Context, name string) error
	// SignRead makes an HTTPS-only user delegation SAS URL that reads this blob, with
	// these headers whatever the blob's own are.
	SignRead(ctx context.Context, name string, h store.BlobHeaders, from, until time.Time) (string, error)
}

// Uploads are the same container, seen by those who write to it by themselves.
// Every method may be repeated. An error wraps one of package store's.
type Uploads interface {
	// SignWrite makes an HTTPS-only user delegation SAS URL that writes this blob
	// and can do nothing else.
	SignWrite(ctx context.Context, name string, from, until time.Time) (string, error)
	// Size is the size of a blob; ErrMissing if nothing was committed.
	Size(ctx context.Context, name string) (int64, error)
	// Seal ends all writing to a blob, sets its headers and returns its size.
	Seal(ctx context.Context, name string, h store.BlobHeaders) (int64, error)
}

// Links is the table of links and slots. An error wraps one of package store's,
// and what it leaves behind is said there.
type Links interface {
	Insert(ctx context.Context, e store.Entity) (store.Receipt, error)
	Get(ctx context.Context, partition, row string) (store.Entity, store.Receipt, error)
	Replace(ctx context.Context, e store.Entity) (store.Receipt, error)
	Delete(ctx context.Context, partition, row string, etag store.ETag) error
	// ListBefore returns at most n rows in the order of their keys, from the first
	// after a key to the last before a partition.
	ListBefore(ctx context.Context, after store.Key, partition string, n int) ([]store.Entity, error)
}

// Config is what an Offload is made of. What is not called optional is required.
type Config struct {
	Blobs   Blobs
	Uploads Uploads
	Links   Links
	// PublicURL is where recipients reach the gateway.
	PublicURL *url.URL
	// DownloadOrigin replaces scheme and host of every SAS URL; optional, for
	// storage that recipients and callers reach under another name than the
	// gateway does.
	DownloadOrigin *url.URL
	// MaxUploadBytes is the largest upload that a message may name; optional,
	// DefaultMaxUploadBytes if 0.
	MaxUploadBytes int64
	// DefaultLanguage is a BCP 47 tag; optional, English if empty or unknown.
	DefaultLanguage string
	Now             func() time.Time
	Rand            io.Reader // cryptographically secure
}

// Owner is whose files they are.
type Owner struct{ Caller, Message string }

// Key names the links of one message and opens no link.
type Key = store.Key

// Offload moves attachments to blobs and resolves the links to them. It is safe
// for concurrent use if its Config is.
type Offload struct {
	config  Config
	blocks  pool
	readers atomic.Int32  // of attachments that are being taken in
	counts  chan struct{} // one for each count under way
}

// New makes an Offload.
func New(c Config) *Offload {
	if c.MaxUploadBytes == 0 {
		c.MaxUploadBytes = DefaultMaxUploadBytes
	}
	return &Offload{
		config: c,
		blocks: &sync.Pool{New: func() any { return new(block) }},
		counts: make(chan struct{}, maxCounts),
	}
}

// signRead makes a SAS URL with which a browser saves a file and never shows it. The
// URL of an upload has the headers itself: its uploader may write another blob in its place,
// under other headers.
func (o *Offload) signRead(ctx context.Context, blob, name string, expires time.Time) (string, error) {
	var h store.BlobHeaders
	if strings.HasPrefix(blob, uploadFolder) {
		h = headers(name)
	}
	return o.sign(ctx, func(ctx context.Context, blob string, from, until time.Time) (string, error) {
		return o.config.Blobs.SignRead(ctx, blob, h, from, until)
	}, blob, expires, mail.ClickSASLife)
}

// sign makes a SAS URL by one of the two signing methods. It begins early enough
// for a slow clock of storage, ends by expires, and lives at most life.
func (o *Offload) sign(ctx context.Context, sign signer, blob string, expires time.Time, life time.Duration) (string, error) {
	from := o.config.Now().UTC().Add(-ClockSkew).Truncate(time.Second)
	until := from.Add(life)
	if expires.Before(until) {
		until = expires
	}
	signed, err := sign(ctx, blob, from, until)
	if err != nil {
		return "", problem.Wrap(problem.Unavailable, "The file's address could not be signed. Try again.", err)
	}
	address, err := url.Parse(signed)
	if err != nil {
		// The cause quotes the URL, and with it the signature.
		return "", problem.New(problem.Internal, "Storage returned an address that is not valid.")
	}
	if origin := o.config.DownloadOrigin; origin != nil {
		address.Scheme, address.Host = origin.Scheme, origin.Host
	}
	return address.String(), nil
}

type signer func(ctx context.Context, name string, from, until time.Time) (string, error)

// linkURL is the address that a recipient gets for a token, or for the n-th file
// behind it, counted from 1.
func (o *Offload) linkURL(token string, n int) string {
	link := o.config.PublicURL.JoinPath("files", token)
	if n > 0 {
		link = link.JoinPath(strconv.Itoa(n))
	}
	return link.String()
}

// lastInstant is when a link made now ends: a whole second, as in a SAS.
func (o *Offload) lastInstant(life time.Duration) time.Time {
	return o.config.Now().UTC().Add(life).Truncate(time.Second)
}
