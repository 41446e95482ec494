package caller

import (
	"context"
	"time"

	"github.com/posthorn/posthorn/handler/accept/usage"
)

// NoteUses lets the days be noted on which keys are used. It is called before the first
// Authenticate, if at all.
func (r *Registry) NoteUses(d *usage.Days) { r.used = d }

// LastUses are the days on which keys were last used. Generation 0 of a caller stands for
// its tokens of Entra ID.
func (r *Registry) LastUses(ctx context.Context) (map[usage.Key]time.Time, error) {
	last, err := r.used.Last(ctx)
	if err != nil {
		return nil, unavailable(err)
	}
	return last, nil
}
