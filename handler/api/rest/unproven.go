package rest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/posthorn/posthorn/handler/api/hook"
	"github.com/posthorn/posthorn/handler/pool"
	"github.com/posthorn/posthorn/handler/problem"
)

// gather reads the body of a delivery to a hook of a name before anything proves who sent
// it. What comes is held in the pool until leave.
func (a *api) gather(w http.ResponseWriter, req *http.Request, name string) (pieces [][]byte, leave func(), err error) {
	if err := deliverable(req); err != nil {
		return nil, nil, err
	}
	guest := a.Admission.unproven.Enter(name, http.NewResponseController(w))
	body := a.steady(w, req, hook.MaxBodyBytes)
	body.connection, body.stranger = guest, true
	pieces, err = inPieces(req.Context(), guest, body, req.ContentLength)
	if err == nil {
		return pieces, guest.Leave, nil
	}
	guest.Leave()
	switch {
	case errors.Is(err, pool.ErrSlow):
		err = problem.Wrap(problem.Unavailable, "This instance has no memory left for unauthenticated deliveries, and this one was the slowest. Nothing was sent. Deliver it again after Retry-After.", err)
	case tooLarge(err):
		err = largeDelivery()
	}
	return nil, nil, err
}

// headBytes are read, at the start and after each piece, before there is a piece for them.
// So nobody holds one for bytes that do not come, and a small body needs none: a client that
// has taken all pieces keeps no form and no small delivery out.
const headBytes = 2 << 10

// inPieces reads body to its end. announced is its length, -1 if that is not known.
func inPieces(ctx context.Context, guest *pool.Guest, body io.Reader, announced int64) (pieces [][]byte, err error) {
	var size int64
	fill := func(p []byte) (n int, err error) {
		for n < len(p) && err == nil {
			var more int
			more, err = body.Read(p[n:])
			n += more
			size += int64(more)
			if slow := guest.Came(more, false); slow != nil {
				return n, slow
			}
		}
		return n, err
	}
	head := make([]byte, headBytes)
	for {
		before := size
		n, err := fill(head)
		piece := head
		if err == nil {
			if slow := guest.Take(ctx); slow != nil {
				return nil, slow
			}
			length := int64(pool.PieceBytes)
			if announced >= size { // no more than comes
				length = min(length, announced-before)
			}
			piece = make([]byte, length)
			copy(piece, head)
			var more int
			more, err = fill(piece[n:])
			n += more
		}
		if n > 0 {
			pieces = append(pieces, piece[:n])
		}
		if errors.Is(err, io.EOF) {
			return pieces, guest.Came(0, true)
		}
		if err != nil {
			return nil, err
		}
	}
}

// joined is all of a body. Of one piece nothing is copied.
func joined(pieces [][]byte) []byte {
	if len(pieces) == 1 {
		return pieces[0]
	}
	return bytes.Join(pieces, nil)
}

// deliverable refuses what no hook takes, which the headers say.
func deliverable(req *http.Request) error {
	if err := unencoded(req); err != nil {
		return err
	}
	if req.ContentLength > hook.MaxBodyBytes {
		return largeDelivery()
	}
	return nil
}

func largeDelivery() error {
	return problem.New(problem.TooLarge, "A delivery to a hook has at most %d bytes.", hook.MaxBodyBytes)
}

func tooLarge(err error) bool {
	_, ok := errors.AsType[*http.MaxBytesError](err)
	return ok
}

// nothings are bodies that say nothing. Clients send them where there is no body: Resend's
// for Python with GET too, its for PHP with POST. Sources: github.com/resend/resend-python,
// resend/request.py; github.com/resend/resend-php, Payload.php.
var nothings = []string{"", "{}", "[]", "null"}

// maxNothing is more bytes than any of them has.
const maxNothing = 16

// noBody refuses a body where none is read: a client that sends one means something by it. After
// it the request has none.
func (a *api) noBody(w http.ResponseWriter, req *http.Request) error {
	if req.ContentLength == 0 {
		return nil
	}
	refusal := problem.New(problem.InvalidRequest, "%s takes no body at this address. Send the request without one.", req.Method)
	if req.ContentLength > maxNothing {
		return refusal
	}
	body := &steadyBody{body: io.LimitReader(req.Body, maxNothing+1), connection: http.NewResponseController(w), now: a.Now, end: a.Now().Add(firstByteTime)}
	text, err := io.ReadAll(body)
	said := string(bytes.TrimSpace(text))
	signed := strings.HasPrefix(req.Header.Get("Authorization"), "HMAC-SHA256 ")
	if err != nil || len(text) > maxNothing || !slices.Contains(nothings, said) || signed && len(text) > 0 {
		return refusal
	}
	req.Body, req.ContentLength = http.NoBody, 0
	return nil
}
