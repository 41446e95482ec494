package expire

import (
	"context"
	"errors"
	"time"
)

// DateForm is how the table of a day (UTC) is named.
const DateForm = "20060102"

const day = 24 * time.Hour

// Days are tables that hold a day each, named by their dates.
type Days interface {
	// Create may be repeated. After a Drop storage may refuse it for a while.
	Create(ctx context.Context, date string) error
	// Drop may be repeated.
	Drop(ctx context.Context, date string) error
	// List returns the dates of the tables that exist.
	List(ctx context.Context) (dates []string, err error)
}

// DropDays drops the tables of days that ended life ago or earlier. dates are the tables
// that were there. With an error it has dropped what it could.
func DropDays(ctx context.Context, days Days, life time.Duration, now time.Time) (all Result, dates []string, err error) {
	dates, err = days.List(ctx)
	if err != nil {
		return all, nil, err
	}
	var failed []error
	for _, date := range dates {
		start, err := time.Parse(DateForm, date)
		over := start.Add(day + life)
		if err != nil || over.After(now) {
			continue
		}
		all = all.Join(Result{Oldest: over, Removed: 1})
		failed = append(failed, days.Drop(ctx, date))
	}
	return all, dates, errors.Join(failed...)
}
