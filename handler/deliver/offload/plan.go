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
// ACS) and puts a block of links into each body that m has. What has placement
// link moves in any case. Then, while m is too large, the largest goes next,
// and inline images only when nothing else is left. What has placement inline
// never moves.
//
// size must be exact for the request to ACS that m would make; it is called
// once for every attachment that moves. life is how long the links work. The
// Move is never nil without an error; it is empty if everything fits, and then
// m is as it was. So it is after an error, which is
//
//   - InvalidMessage with a pointer to each placement that stands in the way,
//   - TooLarge if m would not fit without any attachment,
//   - Unavailable if a SAS was asked for and could not be had.
func (o *Offload) Plan(ctx context.Context, m *mail.Message, life time.Duration, limit int64, size func(*mail.Message) int64) (*Move, error) {
	d := o.draft(m, life)
	must, may, never := sortOut(m.Attachments)
	for _, i := range must {
		if err := d.move(ctx, i); err != nil {
			return nil, err
		}
	}
	for size(&d.message) > limit {
		if len(may) == 0 {
			return nil, d.refuse(never, limit, size)
		}
		if err := d.move(ctx, may[0]); err != nil {
			return nil, err
		}
		may = may[1:]
	}
	*m = d.message
	return &Move{offload: o, files: d.files}, nil
}

// sortOut returns positions: what moves in any case, what may move in the order
// in which it does, and what stays.
func sortOut(attachments []mail.Attachment) (must, may, never []int) {
	for i, a := range attachments {
		switch {
		case a.Content == nil:
		case a.Placement == mail.PlacementLink:
			must = append(must, i)
		case a.Placement == mail.PlacementInline:
			never = append(never, i)
		default:
			may = append(may, i)
		}
	}
	slices.SortStableFunc(may, func(i, j int) int {
		a, b := attachments[i], attachments[j]
		if imageA, imageB := a.ContentID != "", b.ContentID != ""; imageA != imageB {
			if imageB {
				return -1
			}
			return 1
		}
		return cmp.Compare(b.Size, a.Size)
	})
	return must, may, never
}

// draft is a message on its way to fitting.
type draft struct {
	offload *Offload
	locale  locale
	expires time.Time
	body    mail.Content // as the sender wrote it
	end     func() int   // where in body.HTML the block belongs
	message mail.Message // as it would go
	files   []file       // in the order of the message's attachments
}

func (o *Offload) draft(m *mail.Message, life time.Duration) *draft {
	d := &draft{
		offload: o,
		locale:  localeFor(m.Language, o.config.DefaultLanguage),
		expires: o.lastInstant(life),
		body:    m.Content,
		end:     sync.OnceValue(func() int { return endOfBody(m.Content.HTML) }),
		message: *m,
	}
	d.message.Attachments = slices.Clone(m.Attachments)
	return d
}

// move takes the i-th attachment out of the draft and writes the block anew.
func (d *draft) move(ctx context.Context, i int) error {
	f, err := d.offload.newFile(ctx, i, d.message.Attachments[i], d.expires)
	if err != nil {
		return err
	}
	at, _ := slices.BinarySearchFunc(d.files, i, func(f file, i int) int { return cmp.Compare(f.link.Index, i) })
	d.files = slices.Insert(d.files, at, f)
	d.message.Attachments[i].Content = nil

	b, err := newBlock(d.locale, d.files)
	if err != nil {
		return err
	}
	if html := d.body.HTML; html != "" {
		d.message.Content.HTML = html[:d.end()] + b.html + html[d.end():]
	}
	if text := d.body.PlainText; text != "" {
		d.message.Content.PlainText = text + b.text
	}
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
	p := problem.New(problem.InvalidMessage, "The attachments that must be in the message do not fit into it.")
	for _, i := range never {
		p.Faults = append(p.Faults, problem.Fault{
			Pointer: fmt.Sprintf("/attachments/%d/placement", i),
			Detail:  fmt.Sprintf("With what is placed inline the request is larger than the %d bytes that ACS takes. Use auto or link.", limit),
		})
	}
	return p
}
