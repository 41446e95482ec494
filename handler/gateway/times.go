package gateway

import "time"

// times bound the parts of the work on a message that come after RequestTimeout,
// which ends at the fence. They shrink with it, so that a deployment with little
// patience is soon done with an owner that has died.
type times struct {
	// sendTimeout bounds the one call to ACS, resolveTimeout all questions after it.
	sendTimeout    time.Duration
	resolveTimeout time.Duration
	// undoTimeout bounds the record of an end, and the removal of what is left.
	undoTimeout time.Duration
	// turnTimeout bounds how long a repeat waits for the request before it.
	turnTimeout time.Duration
	// spare is for clocks, and for a process that is slow to notice its deadline.
	spare time.Duration
}

func timesFor(request time.Duration) times {
	return times{
		sendTimeout:    min(request, time.Minute),
		resolveTimeout: min(2*request, 20*time.Second), // twice: its pauses alone are resolveWaits
		undoTimeout:    min(request, 15*time.Second),
		turnTimeout:    request / 2,
		spare:          min(request, 25*time.Second),
	}
}

// SendTime is how long one call to ACS may take where requests may take request.
func SendTime(request time.Duration) time.Duration { return timesFor(request).sendTimeout }

// OwnerLife is how long a claim must hold where requests may take request, and
// FenceLife how long it must from the fence on: longer than all that one owner does with
// a message, so that only a dead one is taken over. Each row says itself until when its
// owner lives, so instances with different times may share a deployment. With the
// default of 100 s they are record.OwnerLife and record.FenceLife.
func OwnerLife(request time.Duration) time.Duration {
	t := timesFor(request)
	return request + t.undoTimeout + t.spare
}

// FenceLife is said at OwnerLife.
func FenceLife(request time.Duration) time.Duration {
	t := timesFor(request)
	return t.sendTimeout + t.resolveTimeout + t.undoTimeout + t.spare
}
