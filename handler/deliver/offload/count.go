package offload

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/posthorn/posthorn/handler/store"
)

const (
	// maxCounts is how many downloads are being counted at once; more go uncounted.
	maxCounts = 32
	// countTimeout bounds one count.
	countTimeout = 5 * time.Second

	countsSuffix = "-downloads"
	valueCounts  = "counts" // a JSON list, by number
)

// Download is how often a file was asked for. Programs that scan mail count, too. Who asked
// is not stored.
type Download struct {
	Index int // in the caller's attachments
	Count int64
}

// Downloads tells what became of a message's links. A count may be too low, since
// a count never delays a download. Errors are as in OpenLink.
func (o *Offload) Downloads(ctx context.Context, k Key) (downloads []Download, revoked bool, err error) {
	e, err := o.link(ctx, k)
	if err != nil {
		return nil, false, err
	}
	all, err := files(e)
	if err != nil {
		return nil, false, away(err)
	}
	counted, _, err := o.config.Links.Get(ctx, k.Partition, k.Row+countsSuffix)
	if err := unlessMissing(err); err != nil {
		return nil, false, away(err)
	}
	counts := countsOf(counted, len(all))
	for at, f := range all {
		downloads = append(downloads, Download{Index: f.Index, Count: counts[at]})
	}
	revoked, _ = e.Values[valueRevoked].(bool)
	return downloads, revoked, nil
}

// count counts a download of the n-th file without making anyone wait.
func (o *Offload) count(ctx context.Context, k Key, expires time.Time, n, of int) {
	select {
	case o.counts <- struct{}{}:
	default:
		return
	}
	go func() {
		defer func() { <-o.counts }()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), countTimeout)
		defer cancel()
		for range maxTries {
			if !o.countOnce(ctx, k, expires, n, of) {
				return
			}
		}
	}()
}

// countOnce says whether it is worth trying again.
func (o *Offload) countOnce(ctx context.Context, k Key, expires time.Time, n, of int) bool {
	e, _, err := o.config.Links.Get(ctx, k.Partition, k.Row+countsSuffix)
	missing := errors.Is(err, store.ErrMissing)
	if err != nil && !missing {
		return false
	}
	counts := countsOf(e, of)
	counts[n-1]++
	text, err := json.Marshal(counts)
	if err != nil {
		return false
	}
	e.Partition, e.Row = k.Partition, k.Row+countsSuffix
	e.Values = map[string]any{valueExpires: expires, valueCounts: string(text)}
	write := o.config.Links.Replace
	if missing {
		write = o.config.Links.Insert
	}
	_, err = write(ctx, e)
	return errors.Is(err, store.ErrChanged) || errors.Is(err, store.ErrExists)
}

// countsOf reads the counts of so many files; what cannot be read is 0.
func countsOf(e store.Entity, files int) []int64 {
	counts := make([]int64, files)
	if text, ok := e.Values[valueCounts].(string); ok {
		var read []int64
		if json.Unmarshal([]byte(text), &read) == nil {
			copy(counts, read)
		}
	}
	return counts
}
