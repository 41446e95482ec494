package offload

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/posthorn/posthorn/handler/mail"
	"github.com/posthorn/posthorn/handler/problem"
)

// Plan makes m fit: so that size(m) is at most limit, it decides which
// attachments move, takes their Content out of m (nil is what does not go to
// ACS) and puts a block of links into each body that m has. What in has sent to
// storage already, what was uploaded and what has placement link moves in any
// case. Then, while m is too large, the largest goes next, and inline images
// only when nothing else is left. What has placement inline never moves.
//
// size must be exact for the request to ACS that m would make; it is called
// once for every attachment that moves. life is how long the links work. m must
// have been filled by in. The Move is never nil without an error; it is empty if
// everything fits, and then m is as it was. So it is after an error, which is
//
//   - InvalidMessage with a pointer to each placement that stands in the way and
//     to each uploadId that cannot be used,
//   - TooLarge if m would not fit without any attachment,
//   - Unavailable if storage had to be asked and did not answer.
func (o *Offload) Plan(ctx context.Context, m *mail.Message, in *Intake, owner Owner, life time.Duration, limit int64, size func(*mail.Message) int64) (*Move, error) {
	d := o.draft(m, in, owner, life)
	uploads, err := d.lookAtUploads(ctx)
	if err != nil {
		return nil, err
	}
	must, may, never := d.sortOut()
	for _, i := range must {
		if err := d.move(i, uploads[i]); err != nil {
			return nil, err
		}
	}
	for size(&d.message) > limit {
		if len(may) == 0 {
			return nil, d.refuse(never, limit, size)
		}
		if err := d.move(may[0], nil); err != nil {
			return nil, err
		}
		may = may[1:]
	}
	*m = d.message
	return d.moved, nil
}

// draft is a message on its way to fitting.
type draft struct {
	wishes  [2]string    // for the language, which only a draft that moves something has
	locale  *locale      // nil before the first move
	body    mail.Content // as the sender wrote it
	end     func() int   // where in body.HTML the block belongs
	message mail.Message // as it would go
	moved   *Move
}

func (o *Offload) draft(m *mail.Message, in *Intake, owner Owner, life time.Duration) *draft {
	d := &draft{
		wishes:  [2]string{m.Language, o.config.DefaultLanguage},
		body:    m.Content,
		end:     sync.OnceValue(func() int { return endOfBody(m.Content.HTML) }),
		message: *m,
		moved:   &Move{offload: o, intake: in, owner: owner, expires: o.lastInstant(life), language: m.Language},
	}
	d.message.Attachments = slices.Clone(m.Attachments)
	return d
}

// sortOut returns positions: what moves in any case, what may move in the order
// in which it does, and what stays.
func (d *draft) sortOut() (must, may, never []int) {
	attachments := d.message.Attachments
	for i, a := range attachments {
		switch {
		case d.moved.intake.streamed(i) != nil, a.UploadID != "":
			must = append(must, i)
		case a.Content == nil:
		case a.Placement == mail.PlacementLink:
			must = append(must, i)
		case a.Placement == mail.PlacementInline:
			never = append(never, i)
		default:
			may = append(may, i)
		}
	}
	slices.SortStableFunc(may, func(i, j int) int { return firstToMove(attachments[i], attachments[j]) })
	return must, may, never
}

// firstToMove compares two attachments that may move by who goes first: the
// larger, and inline images after all else.
func firstToMove(a, b mail.Attachment) int {
	if imageA, imageB := a.ContentID != "", b.ContentID != ""; imageA != imageB {
		if imageB {
			return -1
		}
		return 1
	}
	return cmp.Compare(b.Size, a.Size)
}

// lookAtUploads returns the slots that m names, by position. It finds all that
// cannot be where its sender wants it.
func (d *draft) lookAtUploads(ctx context.Context) (map[int]*slot, error) {
	slots, seen := map[int]*slot{}, map[string]bool{}
	p := problem.New(problem.InvalidMessage, "Some attachments cannot be used as the message says.")
	violation := func(i int, member, format string, args ...any) {
		p.Violations = append(p.Violations, problem.NewViolation(fmt.Sprintf("/attachments/%d/%s", i, member), format, args...))
	}
	for i, a := range d.message.Attachments {
		inline := a.Placement == mail.PlacementInline
		switch {
		case d.moved.intake.streamed(i) != nil && inline:
			violation(i, "placement", "The file was too large to be held until this was known. Write this before %s.", problem.Name{fmt.Sprintf("/attachments/%d/contentInBase64", i)})
		case a.UploadID == "":
		case inline:
			violation(i, "placement", "An upload cannot be in the message. Use auto or link, or send its content.")
		case seen[a.UploadID]:
			violation(i, "uploadId", "The message names this upload twice.")
		default:
			seen[a.UploadID] = true
			s, objection, err := d.moved.offload.lookup(ctx, d.moved.owner, a.UploadID)
			switch {
			case err != nil:
				return nil, err
			case objection != "":
				violation(i, "uploadId", "%s", objection)
			default:
				slots[i] = s
				d.message.Attachments[i].Size = s.size
			}
		}
	}
	if len(p.Violations) > 0 {
		return nil, p
	}
	return slots, nil
}

// move takes the i-th attachment out of the draft and writes the block anew.
func (d *draft) move(i int, s *slot) error {
	if err := d.moved.add(i, d.message.Attachments[i], s); err != nil {
		return err
	}
	d.message.Attachments[i].Content = nil

	if d.locale == nil {
		l := localeFor(d.wishes[:]...)
		d.locale = &l
	}
	b, err := newBlock(*d.locale, d.moved.files)
	if err != nil {
		return err
	}
	d.message.Content = d.body
	b.addTo(&d.message.Content, d.end)
	return nil
}

// refuse says why the draft cannot be made to fit: for what must stay in the
// message, or for the message itself.
func (d *draft) refuse(never []int, limit int64, size func(*mail.Message) int64) error {
	bare := d.message
	bare.Attachments = nil
	if n := size(&bare); n > limit || len(never) == 0 {
		return problem.New(problem.TooLarge,
			"Without any attachment the message makes a request of %d bytes, and ACS takes %d. Shorten its bodies.", n, limit)
	}
	return notInline(never, limit)
}

// notInline is for attachments that must be in the message and are too large.
func notInline(positions []int, limit int64) error {
	p := problem.New(problem.InvalidMessage, "The attachments that must be in the message do not fit into it.")
	for _, i := range positions {
		p.Violations = append(p.Violations, problem.Violation{
			Pointer: fmt.Sprintf("/attachments/%d/placement", i),
			Detail:  fmt.Sprintf("With what is placed inline the request is larger than the %d bytes that ACS takes. Use auto or link.", limit),
		})
	}
	return p
}
