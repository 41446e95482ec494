package offload

import (
	"context"
	"crypto/sha256"
	"io"
	"slices"

	"golang.org/x/sync/semaphore"

	"github.com/posthorn/posthorn/handler/mail"
)

// KeepBytes is what is kept of attachments whose body cannot fit into a request
// to ACS.
const KeepBytes = 2 << 20

// Memory is how many bytes an Intake holds at most: all of a body that fits, else
// BlocksHeld blocks, less what is kept, but always room for one. The length is as for
// NewIntake.
func Memory(bodyBytes, limit int64) int64 {
	if fits(bodyBytes, limit) {
		return decoded(bodyBytes)
	}
	return budget(limit)
}

// budget is how many bytes an Intake may hold of what is kept and of blocks.
func budget(limit int64) int64 { return max(BlocksHeld*BlockBytes, decoded(limit)+BlockBytes) }

func fits(bodyBytes, limit int64) bool { return bodyBytes >= 0 && bodyBytes <= limit }

// mayFit is true too for a body of no known length, and for one that would fit
// without its bodies and the line breaks in its Base64.
func mayFit(bodyBytes, limit int64) bool { return bodyBytes <= limit+limit/4 }

// decoded is the most that so much Base64 can stand for.
func decoded(base64 int64) int64 { return (base64 + 3) / 4 * 3 }

// Intake takes in the attachments of one message, in whatever order they come.
// It is for one goroutine.
type Intake struct {
	offload *Offload
	limit   int64
	first   int  // is the capacity of held to begin with
	now     int  // may be kept
	most    int  // may be kept if it must
	fits    bool // the body's length says so
	dry     bool // nothing is stored

	budget int64
	memory *semaphore.Weighted // bytes of budget: the capacity of held, and each block

	held   []byte // what is kept, one after another
	kept   []*taken
	all    map[int]*taken
	flight *flight // nil before the first attachment

	streams []*stream // all of them, also of what broke off
}

// taken is an attachment, kept or streamed away.
type taken struct {
	index  int
	known  mail.Attachment
	size   int
	sha256 [sha256.Size]byte
	at     int     // where it begins in held
	stream *stream // nil if it is kept
}

// NewIntake returns one for a body of so many bytes, -1 if that is not known, where
// limit is the size of a request to ACS. bodyBytes counts files in Base64, also where
// the body has them raw. Close must be called.
func (o *Offload) NewIntake(bodyBytes, limit int64) *Intake {
	in := &Intake{offload: o, limit: limit, most: int(decoded(limit)), fits: fits(bodyBytes, limit), budget: budget(limit), all: map[int]*taken{}}
	in.memory = semaphore.NewWeighted(in.budget)
	in.now = in.most
	if !mayFit(bodyBytes, limit) {
		in.now = min(KeepBytes, in.most)
	}
	in.first = min(KeepBytes, in.now)
	if in.fits {
		in.first = int(decoded(bodyBytes))
	}
	return in
}

// StoreNothing lets what would stream away be read and counted alone. It is called before
// the first Attachment; of a message that has one in storage only a Plan can be made.
func (in *Intake) StoreNothing() { in.dry = true }

// Attachment reads the content of the i-th attachment to its end, once for each i.
// known is what else is known of it by now. An error of r comes back as it is, and
// then nothing of the attachment is kept. Others are Unavailable if storage failed
// or ctx ended, InvalidMessage if what must be inline cannot be.
func (in *Intake) Attachment(ctx context.Context, i int, known mail.Attachment, r io.Reader) error {
	if in.flight == nil {
		blobs := in.offload.config.Blobs
		if in.dry {
			blobs = nowhere{blobs}
		}
		in.flight = newFlight(context.WithoutCancel(ctx), blobs) // until Close, though the reading may have ended
	}
	t := &taken{index: i, known: known, at: len(in.held)}
	hash, readers := sha256.New(), &in.offload.readers
	readers.Add(1)
	defer readers.Add(-1)
	if err := in.take(ctx, t, yielding{io.TeeReader(r, hash), readers}); err != nil {
		in.held = in.held[:t.at]
		if t.stream != nil {
			t.stream.drop()
		}
		return err
	}
	hash.Sum(t.sha256[:0])
	in.all[i] = t
	return nil
}

func (in *Intake) take(ctx context.Context, t *taken, r io.Reader) error {
	if !in.fits && t.known.Placement == mail.PlacementLink {
		var err error
		if t.stream, err = in.newStream(); err != nil {
			return err
		}
	}
	for t.stream == nil {
		more, err := in.keep(ctx, t, r)
		if err != nil {
			return err
		}
		if !more {
			in.kept = append(in.kept, t)
			return nil
		}
	}
	n, err := t.stream.readFrom(ctx, r)
	t.size += int(n)
	if err == nil {
		t.stream.end()
	}
	return err
}

// keep reads on behind what is kept, until t ends or has been moved out. Only a
// byte that does not fit makes room.
func (in *Intake) keep(ctx context.Context, t *taken, r io.Reader) (more bool, err error) {
	var first [1]byte
	space := in.held[len(in.held):cap(in.held)]
	if len(space) == 0 {
		space = first[:]
	}
	n, err := r.Read(space)
	switch {
	case n == 0:
	case len(in.held) < cap(in.held):
		in.held = in.held[:len(in.held)+n]
	default:
		for t.stream == nil && len(in.held) == cap(in.held) {
			if err := in.makeRoom(ctx, t); err != nil {
				return false, err
			}
		}
		if t.stream == nil {
			in.held = append(in.held, first[0])
		} else if err := t.stream.write(ctx, first[:]); err != nil {
			return false, err
		}
	}
	t.size += n
	if err == io.EOF {
		return t.stream != nil, nil
	}
	return true, err
}

// makeRoom makes held larger, or moves the largest out of it, which may be t, the
// one being read.
func (in *Intake) makeRoom(ctx context.Context, t *taken) error {
	// What must be inline needs the room, and what is shown in the HTML deserves it.
	stays := t.known.Placement == mail.PlacementInline || t.known.ContentID != ""
	switch has := cap(in.held); {
	case has < in.first:
		return in.resize(ctx, in.first)
	case has < in.now:
		return in.resize(ctx, in.now)
	case has < in.most && stays:
		return in.resize(ctx, in.most)
	}
	candidates := slices.DeleteFunc(append(slices.Clone(in.kept), t), func(c *taken) bool {
		return c.known.Placement == mail.PlacementInline || c.size == 0 && c != t
	})
	if len(candidates) == 0 {
		return in.refuse(t)
	}
	return in.moveOut(ctx, slices.MinFunc(candidates, func(a, b *taken) int {
		return firstToMove(a.attachment(), b.attachment())
	}), t)
}

// reserve waits for so much memory. An error is Unavailable: a block has failed, or ctx has ended.
func (in *Intake) reserve(ctx context.Context, n int64) error {
	if err := in.memory.Acquire(ctx, n); err != nil {
		return notStored(err)
	}
	err := in.flight.failure()
	if err != nil {
		in.memory.Release(n)
	}
	return err
}

// resize gives held another capacity. Before it grows, it takes all that blocks may
// have, so that none is under way while there are two of held.
func (in *Intake) resize(ctx context.Context, capacity int) error {
	has := int64(cap(in.held))
	if int64(capacity) > has {
		if err := in.reserve(ctx, in.budget-has); err != nil {
			return err
		}
		has = in.budget
	}
	in.held = append(make([]byte, 0, capacity), in.held...)
	in.memory.Release(has - int64(capacity))
	return nil
}

func (t *taken) attachment() mail.Attachment {
	return mail.Attachment{ContentID: t.known.ContentID, Size: int64(t.size)}
}

// moveOut sends an attachment from held to storage and closes the gap.
func (in *Intake) moveOut(ctx context.Context, v, reading *taken) error {
	s, err := in.newStream()
	if err != nil {
		return err
	}
	v.stream = s
	if err := s.write(ctx, in.held[v.at:v.at+v.size]); err != nil {
		s.drop()
		return err
	}
	if v != reading {
		s.end()
		in.kept = slices.DeleteFunc(in.kept, func(t *taken) bool { return t == v })
	}
	in.held = slices.Delete(in.held, v.at, v.at+v.size)
	for _, t := range append(slices.Clone(in.kept), reading) {
		if t.at > v.at {
			t.at -= v.size
		}
	}
	switch left := len(in.held); {
	case in.fits:
	case left == 0:
		return in.resize(ctx, 0)
	case left < KeepBytes && cap(in.held) > KeepBytes:
		return in.resize(ctx, KeepBytes)
	}
	return nil
}

func (in *Intake) refuse(t *taken) error {
	var inline []int
	for _, t := range append(slices.Clone(in.kept), t) {
		if t.known.Placement == mail.PlacementInline {
			inline = append(inline, t.index)
		}
	}
	slices.Sort(inline)
	return notInline(inline, in.limit)
}

// nowhere stores no block.
type nowhere struct{ Blobs }

// Stage implements Blobs.
func (nowhere) Stage(context.Context, string, int, []byte, []byte) error { return nil }

// Fill gives m's attachments their Size and SHA256, and their Content if it was
// kept (not nil, even if empty). One whose content was not taken in stays as it
// is. Nothing can be taken in afterwards.
func (in *Intake) Fill(m *mail.Message) {
	for i := range m.Attachments {
		t, ok := in.all[i]
		if !ok {
			continue
		}
		a := &m.Attachments[i]
		a.Size, a.SHA256 = int64(t.size), t.sha256
		switch {
		case t.stream != nil:
		case t.size == 0:
			a.Content = []byte{}
		default:
			a.Content = in.held[t.at : t.at+t.size : t.at+t.size]
		}
	}
}

// streamed is the i-th attachment on its way to storage, nil if it is not.
func (in *Intake) streamed(i int) *stream {
	if t, ok := in.all[i]; ok {
		return t.stream
	}
	return nil
}

// drain waits until no block is under way.
func (in *Intake) drain(ctx context.Context) error {
	if in.flight == nil {
		return nil
	}
	blocks := in.budget - int64(cap(in.held))
	err := in.reserve(ctx, blocks)
	if err == nil {
		in.memory.Release(blocks)
	}
	return err
}

// Close stops what is under way, gives all blocks back, and drops in the background what
// was staged for a message that came to nothing. What Fill gave to a message stays good.
// It may be repeated.
func (in *Intake) Close() {
	if in.flight == nil {
		return
	}
	away := in.flight.failure() != nil // what storage refuses it cannot drop
	in.flight.close()
	var dropped []string
	for _, s := range in.streams {
		if !s.listed && s.blocks > 0 {
			dropped = append(dropped, s.blob)
		}
	}
	in.streams = nil
	if len(dropped) > 0 && !away {
		go in.offload.dropAll(context.WithoutCancel(in.flight.ctx), dropped)
	}
}
