package hook

import (
	"context"
	"time"

	"github.com/posthorn/posthorn/handler/accept/usage"
)

// NoteUses lets the days be noted on which hooks are used. It is called before the first
// Used, if at all.
func (r *Registry) NoteUses(d *usage.Days) { r.used = d }

// Used notes that h has taken d, which has proved where it comes from: by a key of the
// hook's own or, as generation 0, by a sender's secret or a form's site.
func (r *Registry) Used(ctx context.Context, h Hook, d Delivery) {
	if h.Dictated() || h.Policy.Check == CheckOrigin {
		r.used.Note(ctx, usage.Key{Name: h.Name})
		return
	}
	for _, generation := range h.Generations {
		one := h
		if one.Generations = []int64{generation}; len(h.Generations) == 1 || r.fits(one, d) {
			r.used.Note(ctx, usage.Key{Name: h.Name, Generation: generation})
		}
	}
}

// fits says whether d, which is read whole, is opened or signed by a key of h.
func (r *Registry) fits(h Hook, d Delivery) bool {
	if h.Policy.Check == CheckKey {
		return r.opens(h, d)
	}
	d.Pieces = [][]byte{d.Body}
	return r.signed(h, d) == nil
}

// LastUses are the days on which hooks were last used, by key; see Used.
func (r *Registry) LastUses(ctx context.Context) (map[usage.Key]time.Time, error) {
	last, err := r.used.Last(ctx)
	if err != nil {
		return nil, unavailable(err)
	}
	return last, nil
}
