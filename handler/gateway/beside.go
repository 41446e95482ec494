package gateway

import (
	"context"
	"errors"
	"runtime/debug"
	"sync"

	"github.com/posthorn/posthorn/handler/problem"
)

const (
	// beside is how many messages of one request are on their way beside each other,
	// and besideBytes how much of them: it is held while another one is read.
	beside      = 8
	besideBytes = 1 << 20
)

// batch is the messages of one request. What is left when half of the request's time
// is over is not sent any more: it waits if it may, or is refused. It is for one goroutine.
type batch struct {
	time              context.Context // of the request
	half              context.Context // until what is left is to wait
	sending, queueing slots
	flight            sync.WaitGroup
	all               []*part
}

// part is what became of one of them.
type part struct {
	sent Sent
	err  error
}

func (g *Gateway) newBatch(ctx context.Context) (s *batch, stop func()) {
	half, stop := context.WithTimeout(ctx, g.RequestTimeout/2)
	return &batch{time: ctx, half: half, sending: make(slots, beside), queueing: make(slots, beside)}, stop
}

// refuse notes of a message that it was not taken.
func (s *batch) refuse(err error) { s.all = append(s.all, &part{err: err}) }

// begin does what there is to do for a message of so many bytes once there is a slot for
// it. late says that it is to wait.
func (s *batch) begin(bytes int, do func(late bool) (Sent, error)) {
	n := min(1+bytes*beside/besideBytes, beside)
	taken := s.sending
	late := !taken.take(s.half, n)
	if late {
		taken = s.queueing
		taken.take(context.Background(), n) // each of them ends with the request's time
	}
	one := &part{}
	s.all = append(s.all, one)
	s.flight.Go(func() {
		defer taken.leave(n)
		defer func() {
			if p := recover(); p != nil { // the value may quote a message; the stack does not
				one.err = problem.Wrap(problem.Internal, problem.Of(errors.New("")).Detail, errors.New("panic at "+string(debug.Stack())))
			}
		}()
		if one.sent, one.err = do(late); outOfTime(s.time, one.err) {
			one.err = noTime()
		}
	})
	if n == beside { // too much to be held beside another
		s.flight.Wait()
	}
}

// ends waits for all that has begun and says what became of each.
func (s *batch) ends() []*part {
	s.flight.Wait()
	return s.all
}

// outOfTime says whether an error, which has just come, is that of the end of a request's
// time, whatever it was that had to stop.
func outOfTime(ctx context.Context, err error) bool {
	return errors.Is(ctx.Err(), context.DeadlineExceeded) && (errors.Is(err, context.DeadlineExceeded) || problem.Is(err, problem.Unavailable))
}

func noTime() error {
	return problem.New(problem.Unavailable, "The time of the request ran out before this message could be sent. It was not sent. Send it again.")
}

// slots bound how much is on its way.
type slots chan struct{}

// take takes n slots. It is false if ctx ends before.
func (s slots) take(ctx context.Context, n int) bool {
	for i := range n {
		select {
		case <-ctx.Done():
			s.leave(i)
			return false
		default:
		}
		select {
		case s <- struct{}{}:
		case <-ctx.Done():
			s.leave(i)
			return false
		}
	}
	return true
}

func (s slots) leave(n int) {
	for range n {
		<-s
	}
}
