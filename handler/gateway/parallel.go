package gateway

import (
	"context"
	"errors"
	"iter"
	"sync"

	"golang.org/x/sync/semaphore"

	"github.com/posthorn/posthorn/handler/problem"
)

const (
	// beside is how many messages of one request are on their way beside each other,
	// and besideBytes how much of them: it is held while another one is read.
	beside      = 8
	besideBytes = 1 << 20
)

// job is a message of several that can be sent.
type job struct {
	bytes int // that are held until it has been sent
	send  func(late bool) (Sent, error)
}

// part is what became of one of several messages.
type part struct {
	sent Sent
	err  error
}

// sendSeveral sends the messages of one request beside each other, while the next is being
// read. What is left when half of the time of ctx is over is late: it waits if it may, or is
// refused. An error in place of a job is what its message is refused for. With firstAlone the
// others wait for the first. An error means that nothing was sent: the first could not be
// read, or is not the message that was sent under its name.
func (g *Gateway) sendSeveral(ctx context.Context, firstAlone bool, messages iter.Seq2[job, error]) (all []*part, err error) {
	half, stop := context.WithTimeout(ctx, g.RequestTimeout/2)
	defer stop()
	var flight sync.WaitGroup
	defer flight.Wait() // with a panic of the reader, too
	onTime, behind := semaphore.NewWeighted(beside), semaphore.NewWeighted(beside)
	for j, err := range messages {
		if err != nil {
			g.countMessage(ctx, Answer{}, err)
			if len(all) == 0 {
				return nil, err
			}
			all = append(all, &part{err: err})
			continue
		}
		one, first := &part{}, firstAlone && len(all) == 0
		all = append(all, one)
		n, taken := int64(min(1+j.bytes*beside/besideBytes, beside)), onTime
		late := onTime.Acquire(half, n) != nil
		if late {
			taken = behind
			_ = behind.Acquire(context.WithoutCancel(ctx), n) // each of them ends with the request's time
		}
		flight.Go(func() {
			defer taken.Release(n)
			one.do(ctx, j, late)
		})
		if first || n == beside { // too much to be held beside another
			flight.Wait()
		}
		if first && problem.Is(one.err, problem.KeyReused) {
			return nil, one.err
		}
	}
	flight.Wait()
	return all, nil
}

// do sends a message. A panic is told of it alone.
func (p *part) do(ctx context.Context, j job, late bool) {
	defer func() {
		if value := recover(); value != nil {
			p.err = problem.Wrap(problem.Internal, problem.Of(errors.New("")).Detail, panicked())
		}
	}()
	if p.sent, p.err = j.send(late); outOfTime(ctx, p.err) {
		p.err = noTime()
	}
}

// outOfTime says whether an error, which has just come, says that a request's time has
// ended, whatever it was that had to stop.
func outOfTime(ctx context.Context, err error) bool {
	return errors.Is(ctx.Err(), context.DeadlineExceeded) && (errors.Is(err, context.DeadlineExceeded) || problem.Is(err, problem.Unavailable))
}

func noTime() error {
	return problem.New(problem.Unavailable, "The time of the request ran out before this message could be sent. It was not sent. Send it again.")
}
